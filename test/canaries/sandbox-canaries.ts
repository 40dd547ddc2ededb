/** Mistakes on the sandbox side: what a provider or a wrapper promises. */
import { byTests, type Canary } from "./canary.ts";

export const sandboxCanaries: readonly Canary[] = [
  {
    name: "a stop by session instead of instance [LEA-9]",
    edits: [
      {
        file: "test/memory/memory-world.ts",
        from: "if (target.instanceId !== null) return process.instanceId === target.instanceId;",
        to: "if (target.instanceId !== null) return true;",
      },
    ],
    by: byTests("contract/memory"),
  },
  {
    name: "a lease that has run out is renewed [I8]",
    edits: [
      {
        file: "test/memory/memory-instance.ts",
        from: "if (this.#world.queue.time >= this.#lease.deadline) {",
        to: "if (this.#world.queue.time >= this.#lease.deadline + 864e5) {",
      },
    ],
    by: byTests("unit/memory/memory-wrapper"),
  },
  {
    name: "a renewal that is overtaken extends the lease [I8]",
    edits: [
      {
        file: "src/protocol/sandbox/lease-clock.ts",
        from: "renewal.sequence <= clock.sequence",
        to: "renewal.sequence < clock.sequence",
      },
    ],
    by: byTests("model/certain-expiry", "unit/memory/memory-wrapper"),
  },
  {
    name: "a retired generation launches all the same [I6]",
    edits: [
      {
        file: "test/memory/memory-world.ts",
        from: 'if (retired) return this.#refuse(order, "refused_retired");',
        to: "",
      },
    ],
    by: byTests("contract/memory"),
  },
  {
    name: "a pass of a retired generation is served [TRA-6]",
    edits: [
      {
        file: "test/memory/traffic-of-world.ts",
        from: "record.retiredThrough !== null && generation <= record.retiredThrough",
        to: "record.retiredThrough !== null && generation < 0",
      },
    ],
    by: byTests("contract/memory"),
  },
  {
    name: "a pass is used past its end [TRA-6]",
    edits: [
      {
        file: "src/traffic/pass-cache.ts",
        from: "now < pass.expiresAt ? pass : null",
        to: "pass.expiresAt > 0 ? pass : null",
      },
    ],
    by: byTests("unit/traffic/pass-cache"),
  },
  {
    name: "a cookie of one sandbox is for the whole domain [TRA-11]",
    edits: [
      {
        file: "src/http/sandbox-ports/port-headers.ts",
        from: 'headers.append("set-cookie", ofThisHost(cookie))',
        to: 'headers.append("set-cookie", cookie)',
      },
    ],
    by: byTests("unit/http/routes/port-headers"),
  },
  {
    name: "an order to cut cuts nothing [TRA-9]",
    edits: [
      { file: "test/memory/memory-traffic.ts", from: "this.#held = true;\n    this.cut();", to: "void this.#held;" },
    ],
    by: byTests("contract/memory"),
  },
];
