/**
 * Traffic of a session on the provider `sandbox-sdk`: the session's own code, the gate, the adapter and the object over the stand-in, with a
 * real agent in it. Pauses, a resume and the end are walked with it, because those are what a pass has to notice.
 */
import { afterAll, afterEach, expect, it } from "vitest";
import type { TrafficOrder } from "../../../src/traffic/traffic-gate.ts";
import { TrafficGate } from "../../../src/traffic/traffic-gate.ts";
import { webTrafficKeys } from "../../../src/protocol/sandbox/traffic.ts";
import { freePort } from "../../../scripts/stack/ports.ts";
import { CloudflareWorld } from "../../contract/cloudflare-harness.ts";
import { LiveSession } from "../../support/live-session.ts";
import { RunningHost } from "../../support/running-host.ts";
import { bytesOf } from "../../support/service-events.ts";
import { caller } from "../../support/session-rig.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";
import { until } from "../../support/until.ts";
import { removeDirectories, wrapperBundle } from "../../support/wrapper-instance.ts";

const waitMs = 120_000;
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(removeDirectories);

type Ask = (method: string, path: string, body?: string | Uint8Array<ArrayBuffer>) => ReturnType<TrafficGate["send"]>;

async function walkable(): Promise<{ readonly live: LiveSession; readonly ask: Ask }> {
  const world = new CloudflareWorld();
  closing.push(() => world.close());
  const host = await RunningHost.start({ arguments: ["--wrapper", await wrapperBundle()] });
  closing.push(() => host.close());
  const others = { "sandbox-sdk": world.provider };
  const live = new LiveSession(host, { leaseTtlMs: 120_000 }, { others, first: "sandbox-sdk" });
  closing.push(() => live.close());
  const gate = new TrafficGate({
    session: () => ({ pass: (...asked) => live.commands.pass(...asked) }),
    provider: () => world.provider,
    keys: webTrafficKeys,
    clock: systemClock,
    ids: systemIds,
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  const ask: Ask = (method, path, body) => {
    const headers = new Headers(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) });
    const order: TrafficOrder = { method, path, headers, body: body === undefined ? null : new Blob([body]).stream() };
    return gate.send(caller, live.id, order);
  };
  return { live, ask };
}

async function served(reply: ReturnType<Ask>): Promise<Response> {
  const told = await reply;
  if (!told.ok) throw new Error(`${told.problem.code}: ${told.problem.detail}`);
  if (!told.value.ok) throw new Error(`${told.value.status}: ${await told.value.text()}`);
  return told.value;
}

const codeOf = async (reply: ReturnType<Ask>): Promise<string> => {
  const told = await reply;
  return told.ok ? String(told.value.status) : told.problem.code;
};

const settled = (live: LiveSession, status: string) =>
  until(`it is ${status}`, async () => (await live.view()).status === status, waitMs);

it(
  "files, archives, processes and ports of sandbox-sdk work through every hop, before a pause and after a resume [TRA-1] [TRA-5] [TRA-6] [TRA-11]",
  { timeout: 5 * waitMs },
  async () => {
    const { live, ask } = await walkable();
    await live.create({ idle_timeout_seconds: null });
    await settled(live, "running");

    await served(ask("PUT", "files?path=packed%2Ffile", "content"));
    const archive = new Uint8Array(await (await served(ask("GET", "files/archive?path=packed"))).arrayBuffer());
    await served(ask("PUT", "files/archive?path=unpacked", archive));
    expect(await (await served(ask("GET", "files?path=unpacked%2Ffile"))).text()).toBe("content");

    const started = await served(
      ask("POST", "processes?output=true", JSON.stringify({ command: "cat unpacked/file; exit 3" })),
    );
    const told = await started.text();
    expect(told).toContain(`"exit_code":3`);
    const [, out = "{}"] = /event: stdout\n(?:id: \d+\n)?data: (.*)/.exec(told) ?? [];
    expect(bytesOf(JSON.parse(out) as Record<string, unknown>).toString()).toBe("content");

    const port = (await freePort(0)) ?? 0;
    expect(await codeOf(ask("GET", `ports/${port}/`))).toBe("port_closed");
    const program = `require("http").createServer((_, r) => r.end("inside")).listen(${port}, "127.0.0.1")`;
    await served(ask("POST", "processes", JSON.stringify({ argv: [process.execPath, "-e", program] })));
    await until("the server is reached", async () => (await codeOf(ask("GET", `ports/${port}/`))) === "200", waitMs);
    expect(await (await served(ask("GET", `ports/${port}/`))).text()).toBe("inside");

    await live.commands.pause(caller, waitMs);
    expect((await live.view()).status).toBe("paused");
    expect(await codeOf(ask("GET", "files?path=packed%2Ffile"))).toBe("session_paused");
    await live.commands.attach(caller, { seconds: 3_600, resumes: "always" }, waitMs);
    await settled(live, "running");
    // With a body, and a pass of the sandbox before the pause perhaps still kept.
    await served(ask("PUT", "files?path=after", "resumed"));
    expect(await (await served(ask("GET", "files?path=packed%2Ffile"))).text()).toBe("content");
  },
);

it(
  "a watcher and a program's output on sandbox-sdk come while they last, and an end breaks both off before it is proven [TRA-9]",
  { timeout: 5 * waitMs },
  async () => {
    const { live, ask } = await walkable();
    await live.create({ idle_timeout_seconds: null });
    await settled(live, "running");
    const watched = streamOf(await served(ask("GET", "files/watch?path=.")));
    await watched.until(/event: ready/);
    await served(ask("PUT", "files?path=appears", "here"));
    await watched.until(/event: created/);
    const running = streamOf(
      await served(ask("POST", "processes?output=true", JSON.stringify({ command: "echo begun; sleep 300" }))),
    );
    await running.until(/event: stdout/);
    const broken = Promise.all([watched.end(), running.end()]);
    await live.commands.delete(caller, "requested");
    expect(await broken).toEqual(["broken off", "broken off"]);
    expect(await codeOf(ask("GET", "files?path=appears"))).toBe("session_gone");
    await settled(live, "terminated");
    expect((await live.view()).teardown?.verified_absent_at).toEqual(expect.any(String));
  },
);

function streamOf(reply: Response) {
  const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  return {
    async until(words: RegExp): Promise<void> {
      for (let seen = ""; !words.test(seen);) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`the stream ended before ${String(words)}: ${seen}`);
        seen += decoder.decode(value, { stream: true });
      }
    },
    /** How it ends, however that comes. */
    async end(): Promise<"at its end" | "broken off"> {
      try {
        while (!(await reader.read()).done);
        return "at its end";
      } catch {
        return "broken off";
      }
    },
  };
}
