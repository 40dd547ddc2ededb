/** Shared containers in a tenant's registry: who joins which, and when one begins to end and is gone (CAP-10). */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { containerAttemptMs, strandedAfterMs, type ContainerWithMembers } from "../../../src/domain/state/container.ts";
import type { AttemptId, ContainerId, SandboxId, SessionId } from "../../../src/domain/state/ids.ts";
import type { Observation } from "../../../src/domain/state/observation.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { SharedContainerRequest } from "../../../src/session/reports/reports.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { born, lease, order, report, sessionId } from "../../support/reports.ts";

const policy = defaultPolicy;
const request: SharedContainerRequest = { provider: "memory" };
const patience = strandedAfterMs(policy);
const [a, b, c, d] = ["a", "b", "c", "d"].map(sessionId) as [SessionId, SessionId, SessionId, SessionId];

class Registry {
  now = born;
  readonly core = new TenantCore(nodeSql(), { now: () => this.now }, quotaTerms(policy, 100, 3));
  #versions = 1;

  join(session: SessionId, count = 1, shared: SharedContainerRequest = request): ContainerId {
    const reply = this.core.quota.reserve({ ...order(session, count), shared });
    if (!reply.granted || reply.container === undefined) throw new Error(JSON.stringify(reply));
    return reply.container;
  }

  tell(
    session: SessionId,
    phase: Parameters<typeof lease>[2],
    count = 1,
    changes: Parameters<typeof lease>[3] = {},
  ): void {
    this.#versions += 1;
    const status = phase === "stopping" || phase === "closed" ? "recovering" : "running";
    this.core.report(report(session, this.#versions, { status, leases: [lease(session, count, phase, changes)] }));
  }

  /** Its sandbox was proven gone. */
  leave(session: SessionId, count = 1): void {
    this.tell(session, "closed", count);
  }

  all(): readonly ContainerWithMembers[] {
    return this.core.containers.containers(null, 100);
  }

  phase(id: ContainerId): string | undefined {
    return this.all().find(({ container }) => container.id === id)?.container.phase;
  }

  due(): readonly ContainerId[] {
    return this.core.containers.takeDue(() => 0.5, 10).map(({ id }) => id);
  }

  look(id: ContainerId, answer: Observation["answer"], beganAt: number): Observation {
    const generation = this.all().find(({ container }) => container.id === id)?.container.createdAt ?? 0;
    const about = { provider: "memory", host: "h", boot: "b", residue: [], detail: answer } as const;
    return { ...about, answer, sandboxId: id as string as SandboxId, generation: generation as never, beganAt };
  }

  /** One attempt that sees this, twice. */
  attempt(id: ContainerId, answer: Observation["answer"], name = "one"): string | undefined {
    const attemptId = name as AttemptId;
    if (this.core.containers.beginAttempt(id, attemptId) === null) return "not due";
    const settledAt = this.now;
    const looks = [this.look(id, answer, this.now), this.look(id, answer, this.now + policy.absenceLookGapMs)];
    this.now += policy.absenceLookGapMs;
    const retired = { at: settledAt, host: "h", boot: "b" };
    const result = { attemptId, retired, looks, settledAt, error: null, jitter: 0.5 };
    return this.core.containers.attemptFinished(id, result)?.phase;
  }
}

describe("a shared container", () => {
  let registry: Registry;
  beforeEach(() => {
    registry = new Registry();
  });

  it("takes members until it is full, then there is another one", () => {
    const ids = [a, b, c, d].map((each) => registry.join(each));
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
    expect(ids[3]).not.toBe(ids[0]);
    expect(registry.core.ledger()).toMatchObject({ used: 4, imbalances: [] });
  });

  it("is named again to whoever asks again: a lost reply puts nobody in two places [CAP-10] [API-1]", () => {
    const id = registry.join(a);
    registry.join(b);
    expect(registry.join(a)).toBe(id);
    expect(registry.all()).toHaveLength(1);
    expect(registry.all()[0]?.members).toHaveLength(2);
  });

  it("keeps providers, and sessions that want one of their own, apart", () => {
    const memory = registry.join(a);
    expect(registry.join(b, 1, { provider: "local" })).not.toBe(memory);
    const reply = registry.core.quota.reserve(order(c, 1));
    expect(reply).toEqual({ granted: true });
    expect(registry.all().flatMap(({ members }) => members)).toHaveLength(2);
  });

  it("begins to end in the very write that lets its last member out, and is never joined again [CAP-10]", () => {
    const id = registry.join(a);
    registry.leave(a);
    expect(registry.phase(id)).toBe("stopping");
    expect(registry.join(b)).not.toBe(id);
    expect(registry.due()).toEqual([id]);
  });

  it("lives on when a newcomer joins before the last one has left [CAP-10]", () => {
    const id = registry.join(a);
    registry.tell(a, "held");
    registry.tell(a, "stopping");
    expect(registry.join(b)).toBe(id);
    registry.leave(a);
    expect(registry.phase(id)).toBe("open");
    registry.now += 10 * patience;
    expect(registry.due()).toEqual([]);
  });

  it("is left by a reservation that is given back, and by nothing that is merely said [CAP-6] [CAP-10]", () => {
    const id = registry.join(a);
    registry.tell(a, "held");
    // Unlisted by a newer report, without a proof: it is counted, so it is a member.
    registry.core.report(report(a, 50, { leases: [] }));
    expect(registry.phase(id)).toBe("open");
    const other = registry.join(b);
    expect(other).toBe(id);
    registry.core.quota.cancel(b, order(b, 1).generation);
    expect(registry.all()[0]?.members.map((each) => each.sessionId)).toEqual([a]);
  });

  it("with only members that could not be stopped in time is ended around them, and not a moment earlier [CAP-10]", () => {
    const id = registry.join(a);
    registry.join(b);
    for (const each of [a, b]) registry.tell(each, "stopping");
    registry.now += patience - 1;
    expect(registry.due()).toEqual([]);
    expect(registry.core.nextLook()).toBe(born + patience);
    registry.now += 1;
    expect(registry.due()).toEqual([id]);
    expect(registry.all()[0]?.container).toMatchObject({ phase: "stopping", reason: "stranded" });
  });

  it("with one member that is wanted is never ended, however long the others are stuck [CAP-3] [CAP-10]", () => {
    const id = registry.join(a);
    registry.join(b);
    registry.tell(a, "stopping");
    registry.tell(b, "held");
    registry.now += 100 * patience;
    expect(registry.due()).toEqual([]);
    expect(registry.phase(id)).toBe("open");
    // Nobody new goes where somebody is stuck.
    expect(registry.join(c)).not.toBe(id);
  });

  it("in which its own last generation is not proven gone is none for a session's next one [LEA-18]", () => {
    const id = registry.join(a);
    registry.tell(a, "stopping");
    registry.join(b);
    expect(registry.join(a, 2)).not.toBe(id);
  });

  it("that refused to be written to gets no newcomer, and ends when its last member has left, not before [CAP-3]", () => {
    const id = registry.join(a);
    registry.join(b);
    registry.tell(b, "held");
    registry.leave(a);
    const unusable = { container: id, why: "read-only" };
    const other = registry.join(a, 2, { provider: "memory", unusable });
    expect(other).not.toBe(id);
    expect(registry.join(c)).toBe(other);
    registry.now += 100 * patience;
    expect(registry.due()).toEqual([]);
    registry.leave(b);
    expect(registry.phase(id)).toBe("stopping");
  });
});

it("reads the open and the ending ones without the month of receipts behind them", () => {
  const sql = nodeSql();
  const core = new TenantCore(sql, { now: () => born }, quotaTerms(policy, 100, 3));
  core.quota.reserve({ ...order(a, 1), shared: request });
  for (const phase of ["open", "stopping"]) {
    const plan = sql.run(`EXPLAIN QUERY PLAN SELECT body FROM container WHERE phase = '${phase}' ORDER BY id`);
    expect(plan.map((row) => String(row["detail"])).join()).toMatch(/USING INDEX container_(open|ending)/);
  }
});

describe("the end of a shared container", () => {
  let registry: Registry;
  let id: ContainerId;
  beforeEach(() => {
    registry = new Registry();
    id = registry.join(a);
    registry.leave(a);
  });

  it("is proven by two looks after its retirement, and leaves a receipt [DEL-7]", () => {
    expect(registry.attempt(id, "absent")).toBe("gone");
    const gone = registry.all()[0]?.container;
    expect(gone).toMatchObject({ phase: "gone", reason: "empty", host: "h", attempts: 1 });
    expect(gone?.phase === "gone" && gone.observations).toHaveLength(2);
    expect(registry.due()).toEqual([]);
  });

  it("is not believed without retirement, from another host or boot, or from a look begun too early [PHY-16]", () => {
    const wrong: readonly ((look: Observation) => Observation)[] = [
      (look) => ({ ...look, answer: "unknown" }),
      (look) => ({ ...look, host: "another" }),
      (look) => ({ ...look, boot: "before" }),
      (look) => ({ ...look, beganAt: look.beganAt - 5_000 }),
      (look) => ({ ...look, provider: "local" }),
      (look) => ({ ...look, sandboxId: "another" as SandboxId }),
    ];
    for (const [index, lie] of wrong.entries()) {
      const attemptId = `lie-${index}` as AttemptId;
      expect(registry.core.containers.beginAttempt(id, attemptId), String(index)).not.toBeNull();
      const settledAt = registry.now;
      const looks = [registry.look(id, "absent", settledAt), registry.look(id, "absent", settledAt + 1_000)].map(lie);
      const retired = { at: settledAt, host: "h", boot: "b" };
      const after = registry.core.containers.attemptFinished(id, {
        ...{ attemptId, retired, looks, settledAt, error: null, jitter: 0.5 },
      });
      expect(after?.phase, String(index)).toBe("stopping");
      registry.now += policy.parkedProbeSlowMs;
    }
    const attemptId = "unretired" as AttemptId;
    const fresh = new Registry();
    const other = fresh.join(a);
    fresh.leave(a);
    fresh.core.containers.beginAttempt(other, attemptId);
    const looks = [fresh.look(other, "absent", fresh.now), fresh.look(other, "absent", fresh.now + 1_000)];
    const result = { attemptId, retired: null, looks, settledAt: fresh.now, error: null, jitter: 0.5 };
    expect(fresh.core.containers.attemptFinished(other, result)?.phase).toBe("stopping");
  });

  it("waits between attempts by the stop backoff, and goes on slowly after the last, for ever [LEA-10] [LEA-11]", () => {
    const waits: number[] = [];
    for (let count = 1; count <= policy.stopAttempts + 2; count += 1) {
      expect(registry.attempt(id, "present", `n${count}`)).toBe("stopping");
      const { container } = registry.all()[0] ?? {};
      if (container?.phase !== "stopping" || container.step.type !== "waiting") throw new Error("not waiting");
      expect(registry.attempt(id, "present", "early")).toBe("not due");
      waits.push(container.step.nextAttemptAt - registry.now);
      registry.now = container.step.nextAttemptAt;
    }
    expect(waits.slice(0, 3)).toEqual([5_000, 10_000, 20_000]);
    expect(waits.slice(-2)).toEqual([policy.parkedProbeSlowMs, policy.parkedProbeSlowMs]);
  });

  it("goes on after a crash in the middle of an attempt, whose late result changes nothing [LEA-7] [LEA-8]", () => {
    const lost = "lost" as AttemptId;
    expect(registry.core.containers.beginAttempt(id, lost)).not.toBeNull();
    expect(registry.core.nextLook()).toBe(registry.now + containerAttemptMs(policy));
    registry.now += containerAttemptMs(policy);
    expect(registry.due()).toEqual([]);
    const settledAt = registry.now;
    const looks = [registry.look(id, "absent", settledAt), registry.look(id, "absent", settledAt + 1_000)];
    const retired = { at: settledAt, host: "h", boot: "b" };
    const late = { attemptId: lost, retired, looks, settledAt, error: null, jitter: 0.5 };
    expect(registry.core.containers.attemptFinished(id, late)).toBeNull();
    registry.now += policy.stopBackoffCapMs;
    expect(registry.due()).toEqual([id]);
    expect(registry.attempt(id, "absent", "next")).toBe("gone");
  });
});

it("whatever joins, moves and leaves in whatever order: no container with a wanted member ever ends, and none without members stays [CAP-10]", () => {
  const step = fc.record({
    who: fc.nat(7),
    what: fc.constantFrom("join", "hold", "stop", "leave", "wait", "end"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const registry = new Registry();
      const sessions = Array.from({ length: 8 }, (_, index) => sessionId(`s${index}`));
      const state = new Map<
        SessionId,
        { count: number; phase: "reserved" | "held" | "stopping"; at: ContainerId } | null
      >();
      const counts = new Map<SessionId, number>();
      for (const { who, what } of steps) {
        const session = sessions[who] as SessionId;
        const mine = state.get(session) ?? null;
        if (what === "join" && mine === null) {
          const count = (counts.get(session) ?? 0) + 1;
          counts.set(session, count);
          const at = registry.join(session, count);
          expect(registry.phase(at)).toBe("open");
          state.set(session, { count, phase: "reserved", at });
        } else if (what === "hold" && mine?.phase === "reserved") {
          registry.core.report(
            report(session, registry.now - born + 10, { leases: [lease(session, mine.count, "held")] }),
          );
          state.set(session, { ...mine, phase: "held" });
        } else if (what === "stop" && mine?.phase === "held") {
          registry.core.report(
            report(session, registry.now - born + 10, { leases: [lease(session, mine.count, "stopping")] }),
          );
          state.set(session, { ...mine, phase: "stopping" });
        } else if (what === "leave" && mine?.phase === "stopping") {
          registry.core.report(
            report(session, registry.now - born + 10, { leases: [lease(session, mine.count, "closed")] }),
          );
          state.set(session, null);
        } else if (what === "wait") {
          registry.now += patience / 2;
        } else if (what === "end") {
          for (const id of registry.due()) registry.attempt(id, "absent", `end-${registry.now}`);
        }
        registry.now += 1;
        for (const { container, members } of registry.all()) {
          const inside = [...state].filter(([, each]) => each?.at === container.id);
          expect(members.length).toBe(inside.length);
          const wanted = inside.some(([, each]) => each?.phase !== "stopping");
          if (wanted) expect(container.phase).toBe("open");
          if (inside.length === 0) expect(container.phase).not.toBe("open");
          expect(members.length).toBeLessThanOrEqual(3);
        }
      }
    }),
    { numRuns: 60 },
  );
});
