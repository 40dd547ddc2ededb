/**
 * Sessions far simpler than the real ones talk to the real registry over a network that loses, repeats and reorders.
 * After every step: the ledger balances, no more is granted than the cap, and whatever physically may exist is counted.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LeaseReport, ReserveOrder, SessionReport } from "../../src/session/reports/reports.ts";
import type { Generation, SessionId } from "../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { nodeSql } from "../support/node-sql.ts";
import { born, generation, lease, order, report, sessionId } from "../support/reports.ts";

const cap = 3;

type Message =
  | { readonly type: "reserve"; readonly order: ReserveOrder }
  | { readonly type: "cancel"; readonly generation: Generation }
  | { readonly type: "report"; readonly report: SessionReport };

interface Lease {
  readonly phase: LeaseReport["phase"];
  readonly ghost: boolean;
  readonly asserted: boolean;
  /** The version that closed it: listed until the registry confirms that. */
  readonly closedIn: number;
}

class ModelSession {
  readonly id: SessionId;
  version = 1;
  next = 1;
  candidate: number | null = null;
  cancellations: number[] = [];
  leases = new Map<number, Lease>();
  ended = false;

  constructor(name: string) {
    this.id = sessionId(name);
  }

  get newest(): number | null {
    const live = [...this.leases].filter(([, each]) => each.phase !== "closed" && !each.ghost);
    return live.at(-1)?.[0] ?? null;
  }

  set(count: number, changes: Partial<Lease>): void {
    const held = this.leases.get(count) ?? { phase: "launching", ghost: false, asserted: false, closedIn: 0 };
    this.version += 1;
    this.leases.set(count, { ...held, ...changes, ...(changes.phase === "closed" ? { closedIn: this.version } : {}) });
  }

  giveUp(): number | null {
    const count = this.candidate;
    if (count === null) return null;
    this.candidate = null;
    this.cancellations.push(count);
    this.version += 1;
    return count;
  }

  reported(): SessionReport {
    const leases = [...this.leases].map(([count, { phase, ghost, asserted }]) =>
      lease(this.id, count, phase, { ghost, asserted }),
    );
    return report(this.id, this.version, { status: this.ended ? "terminating" : "running", leases });
  }

  confirmed(version: number): void {
    for (const [count, { phase, closedIn }] of this.leases) {
      if (phase === "closed" && closedIn <= version) this.leases.delete(count);
    }
  }
}

const kinds = [
  "mint",
  "resend",
  "giveUp",
  "advance",
  "ghost",
  "assert",
  "terminate",
  "report",
  "deliver",
  "drop",
] as const;
interface Action {
  readonly kind: (typeof kinds)[number];
  readonly who: number;
  readonly which: number;
  readonly repeated: boolean;
  readonly replyLost: boolean;
}

const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constant("deliver" as const) },
    { weight: 5, arbitrary: fc.constantFrom(...kinds) },
  ),
  who: fc.nat(4),
  which: fc.nat(50),
  repeated: fc.boolean(),
  replyLost: fc.boolean(),
});

class World {
  readonly tenant = new TenantCore(
    nodeSql(),
    { now: () => born },
    { ...quotaTerms(defaultPolicy, cap), orphanAfterMs: 1_000 },
  );
  readonly sessions = ["a", "b", "c", "d", "e"].map((name) => new ModelSession(name));
  readonly network: { readonly from: ModelSession; readonly message: Message }[] = [];
  /** Ever, and given back since, by (session, generation). */
  readonly reserved = new Set<string>();
  readonly released = new Set<string>();

  step({ kind, who, which, repeated, replyLost }: Action): void {
    const session = this.sessions[who];
    if (session === undefined) throw new Error(`no session ${who}`);
    const newest = session.newest;
    const send = (message: Message) => void this.network.push({ from: session, message });
    switch (kind) {
      case "mint":
        if (session.ended || session.candidate !== null || newest !== null) return;
        session.candidate = session.next++;
        session.version += 1;
        return send({ type: "reserve", order: order(session.id, session.candidate) });
      case "resend":
        if (session.candidate !== null) send({ type: "reserve", order: order(session.id, session.candidate) });
        for (const count of session.cancellations) send({ type: "cancel", generation: generation(count) });
        return;
      case "giveUp": {
        const count = session.giveUp();
        return count === null ? undefined : send({ type: "cancel", generation: generation(count) });
      }
      case "advance": {
        // Ghosts go on stopping too.
        const open = [...session.leases].filter(([, each]) => each.phase !== "closed");
        const [count, held] = open[which % Math.max(1, open.length)] ?? [];
        if (count === undefined || held === undefined) return;
        const phase = ({ launching: "held", held: "stopping", stopping: "closed", closed: "closed" } as const)[
          held.phase
        ];
        return session.set(count, { phase });
      }
      case "ghost":
        if (newest !== null && session.leases.get(newest)?.phase === "stopping") session.set(newest, { ghost: true });
        return;
      case "assert": {
        const ghost = [...session.leases].find(([, each]) => each.ghost && each.phase === "stopping");
        // Asserted, or seen alive after it: both happen.
        if (ghost !== undefined) session.set(ghost[0], { asserted: !ghost[1].asserted });
        return;
      }
      case "terminate":
        if (session.ended) return;
        session.ended = true;
        session.giveUp();
        session.version += 1;
        return newest === null ? undefined : session.set(newest, { phase: "stopping" });
      case "report":
        return send({ type: "report", report: session.reported() });
      case "deliver": {
        const index = which % Math.max(1, this.network.length);
        const packet = this.network[index];
        if (packet === undefined) return;
        if (!repeated) this.network.splice(index, 1);
        return this.deliver(packet.from, packet.message, replyLost);
      }
      case "drop":
        this.network.splice(which % Math.max(1, this.network.length), 1);
    }
  }

  deliver(session: ModelSession, message: Message, replyLost: boolean): void {
    switch (message.type) {
      case "reserve": {
        const used = this.tenant.ledger().used;
        const reply = this.tenant.quota.reserve(message.order);
        const key = `${session.id} ${message.order.generation}`;
        if (reply.granted) expect(this.released, "a released generation was granted again").not.toContain(key);
        else if (reply.code === "quota_exhausted") expect(reply).toMatchObject({ limit: cap, used });
        if (reply.granted && this.tenant.ledger().used > used) expect(used, "granted above the cap").toBeLessThan(cap);
        if (replyLost || session.candidate === null) return;
        if (generation(session.candidate) !== message.order.generation) return;
        if (reply.granted) {
          session.set(session.candidate, { phase: "launching" });
          session.candidate = null;
        } else if (reply.code === "stale_generation") {
          session.candidate = null;
          session.next = Math.max(session.next, reply.above - born + 1);
        }
        return;
      }
      case "cancel":
        return this.tenant.quota.cancel(session.id, message.generation);
      case "report": {
        const { version } = this.tenant.report(message.report);
        expect(version).toBeGreaterThanOrEqual(message.report.version);
        if (!replyLost) session.confirmed(version);
      }
    }
  }

  check(): void {
    const open = this.tenant.quota.open(null, 1_000);
    const counted = new Set(
      open.filter((each) => each.state !== "asserted").map((each) => `${each.sessionId} ${each.generation}`),
    );
    const unreleased = new Set(open.map((each) => `${each.sessionId} ${each.generation}`));
    for (const session of this.sessions) {
      for (const [count, held] of session.leases) {
        const key = `${session.id} ${generation(count)}`;
        if (held.phase === "closed") continue;
        expect(unreleased, "something that may exist is not reserved").toContain(key);
        // An assertion may be reported or withdrawn a little later than it is made.
        if (!held.ghost) expect(counted, "something that may exist is not counted").toContain(key);
      }
    }
    for (const key of this.reserved) if (!unreleased.has(key)) this.released.add(key);
    for (const key of unreleased) this.reserved.add(key);
    expect(this.tenant.ledger().imbalances).toEqual([]);
  }

  /** Turns faults off, ends every session, and resends each report until it is confirmed. Calls still in flight arrive first; they must not undo it. */
  settle(): void {
    const late = this.network.splice(0);
    for (const session of this.sessions) {
      session.ended = true;
      session.giveUp();
      for (const [count, held] of session.leases) if (held.phase !== "closed") session.set(count, { phase: "closed" });
      session.version += 1;
      this.deliver(session, { type: "report", report: session.reported() }, false);
    }
    for (const { from, message } of late) this.deliver(from, message, false);
    this.check();
  }
}

describe("a tenant's registry under lost, repeated and reordered messages", () => {
  it("keeps the cap, counts all that may exist, balances after every step, and ends at zero [CAP-6]", () => {
    let grants = 0;
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120, size: "max" }), (actions) => {
        const world = new World();
        for (const each of actions) {
          world.step(each);
          world.check();
        }
        world.settle();
        const { counts, used } = world.tenant.ledger();
        expect(used).toBe(0);
        expect(counts.granted).toBe(counts.proven + counts.cancelled);
        grants += counts.granted;
      }),
      { numRuns: 400 },
    );
    // The runs reached what they are about.
    expect(grants).toBeGreaterThan(400);
  }, 120_000);
});
