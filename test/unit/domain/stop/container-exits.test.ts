/** When a container needs an operator, and what an operator can do with one whose end is not proven (LEA-20, FLT-15). */
import { beforeEach, describe, expect, it } from "vitest";
import { containerAttemptMs, type StoppingContainer } from "../../../../src/domain/state/container.ts";
import { containerOverdueFrom } from "../../../../src/domain/rules/container-exits.ts";
import type { AttemptId, ContainerId, SandboxId, SessionId } from "../../../../src/domain/state/ids.ts";
import type { Observation } from "../../../../src/domain/state/observation.ts";
import { defaultPolicy as policy } from "../../../../src/domain/rules/policy.ts";
import { quotaTerms } from "../../../../src/tenant/quota/quota.ts";
import { receiptRetentionMs } from "../../../../src/tenant/apply-report.ts";
import { TenantCore } from "../../../../src/tenant/tenant-core.ts";
import { nodeSql } from "../../../support/node-sql.ts";
import { born, lease, order, report, sessionId } from "../../../support/reports.ts";

const member: SessionId = sessionId("a");
const by = { by: "admin", reason: "the host was scrapped" } as const;

describe("a container that is being ended", () => {
  let now = born;
  const sql = { now: nodeSql() };
  let core: TenantCore;
  let id: ContainerId;
  beforeEach(() => {
    now = born;
    sql.now = nodeSql();
    core = new TenantCore(sql.now, { now: () => now }, quotaTerms(policy, 100, 3));
    const reply = core.quota.reserve({ ...order(member, 1), shared: { provider: "memory" } });
    if (!reply.granted || reply.container === undefined) throw new Error("no container");
    id = reply.container;
    core.report(report(member, 2, { status: "terminated", leases: [lease(member, 1, "closed")] }));
  });

  const stopping = (): StoppingContainer => {
    const container = core.containers.container(id)?.container;
    if (container?.phase !== "stopping") throw new Error(`it is ${container?.phase}`);
    return container;
  };
  const due = () => {
    const { step } = stopping();
    return step.type === "waiting" ? step.nextAttemptAt : step.deadline;
  };
  /** One attempt, when it is due; `present` and `absent` are seen twice, by the host that retired it. */
  const attempt = (answer: Observation["answer"]) => {
    now = Math.max(now, due());
    const attemptId = `at-${now}` as AttemptId;
    expect(core.containers.beginAttempt(id, attemptId)).not.toBeNull();
    const settledAt = now;
    const look = (beganAt: number): Observation => ({
      ...{ provider: "memory", host: "h", boot: "b", residue: [], detail: answer, answer, beganAt },
      ...{ sandboxId: id as string as SandboxId, generation: stopping().createdAt as never },
    });
    const looks = [look(now), look(now + policy.absenceLookGapMs)];
    now += policy.absenceLookGapMs;
    const retired = answer === "unknown" ? null : { at: settledAt, host: "h", boot: "b" };
    return core.containers.attemptFinished(id, { attemptId, retired, looks, settledAt, error: null, jitter: 0.5 });
  };
  const resolve = (action: "retry_stop" | "assert_absent", revision: number | null = null) =>
    core.containers.resolve(id, { action, ...by }, revision);
  const overdue = () => core.counts().overdueContainers;

  it("is overdue once all attempts of a round may be over, whatever came of them, and the index is told when [FLT-13]", () => {
    const from = containerOverdueFrom(stopping(), policy) ?? 0;
    const waits = [5, 10, 20, 40, 80, 160, 300].reduce((sum, seconds) => sum + seconds * 1_000 * 1.2, 0);
    expect(from).toBe(born + policy.stopAttempts * containerAttemptMs(policy) + waits);
    expect(overdue()).toEqual([{ id, from }]);
    const { version } = core.counts();
    // It does not move with the attempts, so nobody is told of each.
    for (let tries = 0; tries < 12; tries += 1) attempt("unknown");
    expect([overdue(), core.counts().version]).toEqual([[{ id, from }], version]);
    expect(now).toBeGreaterThan(from);
    attempt("absent");
    expect(overdue()).toEqual([]);
    expect(core.counts().version).toBe(version + 1);
  });

  it("begins a new round at an operator's word, counts on, and backs off from the start again [LEA-10] [LEA-20]", () => {
    for (let tries = 0; tries < policy.stopAttempts; tries += 1) attempt("present");
    expect(due() - now).toBe(policy.parkedProbeSlowMs);
    expect(resolve("retry_stop")).toMatchObject({ type: "moved" });
    expect(stopping()).toMatchObject({ attempts: 0, earlierAttempts: policy.stopAttempts });
    expect(due()).toBe(now);
    // Due already: there is nothing to hurry.
    expect(resolve("retry_stop")).toMatchObject({ type: "rejected", rejection: { code: "not_stuck" } });
    attempt("present");
    expect(due() - now).toBe(policy.stopBackoffBaseMs);
    expect(attempt("absent")).toMatchObject({ phase: "gone", attempts: 2, earlierAttempts: policy.stopAttempts });
  });

  it("is asserted gone only when no lease in it can live, and an attempt in flight says nothing more [LEA-20] [LEA-8]", () => {
    const from = born + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs;
    now = from - 1;
    expect(resolve("assert_absent")).toMatchObject({
      rejection: { code: "lease_not_expired", retryAt: from },
    });
    now = from;
    const attemptId = "in-flight" as AttemptId;
    core.containers.beginAttempt(id, attemptId);
    expect(resolve("retry_stop")).toMatchObject({ rejection: { code: "not_stuck", retryAt: due() } });
    expect(resolve("assert_absent")).toMatchObject({ type: "moved", container: { overdueFrom: null } });
    expect(stopping().assertion).toEqual({ at: now, ...by });
    const late = { attemptId, retired: null, looks: [], settledAt: now, error: null, jitter: 0.5 };
    expect(core.containers.attemptFinished(id, late)).toBeNull();
    expect(due()).toBe(now + policy.assertedProbeMs);
    expect(overdue()).toEqual([]);
    expect(resolve("assert_absent")).toMatchObject({ type: "rejected", rejection: { code: "not_stuck" } });
    attempt("unknown");
    expect(due()).toBe(now + policy.assertedProbeMs);
    // Asked now, and nothing was learned: the word stands.
    expect(resolve("retry_stop")).toMatchObject({ type: "moved" });
    attempt("unknown");
    expect(stopping().assertion).toMatchObject(by);
    expect(due()).toBe(now + policy.assertedProbeMs);
    // A proof stays a proof; what was said stands beside it.
    expect(attempt("absent")).toMatchObject({ phase: "gone", assertion: by });
  });

  it("seen alive after that is nobody's word any more: it is overdue as before, and its end begins anew [LEA-20]", () => {
    const [before] = overdue() ?? [];
    now = born + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs;
    attempt("unknown");
    resolve("assert_absent");
    attempt("present");
    expect(stopping()).toMatchObject({ assertion: null, attempts: 0, step: { nextAttemptAt: now } });
    expect(stopping().lastError).toContain("admin");
    expect(overdue()).toEqual([before]);
  });

  it("asserted gone and never seen again is forgotten after the receipts' retention, so that nothing is asked for ever [LEA-20] [I7]", () => {
    now = born + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs;
    resolve("assert_absent");
    now += receiptRetentionMs;
    core.prune();
    expect(core.containers.container(id)).not.toBeNull();
    now += 1;
    core.prune();
    expect(core.containers.container(id)).toBeNull();
    expect(core.containers.takeDue(() => 0.5, 10)).toEqual([]);
  });

  it("without anybody's word is never forgotten, however long it takes [I4]", () => {
    now += 10 * receiptRetentionMs;
    core.prune();
    expect(stopping().phase).toBe("stopping");
  });

  it("is changed only as it was looked at, and says how often it changed [LEA-20]", () => {
    const { revision = 0 } = core.containers.container(id) ?? {};
    attempt("unknown");
    expect(resolve("retry_stop", revision)).toEqual({ type: "changed" });
    const { revision: newer = 0 } = core.containers.container(id) ?? {};
    expect(newer).toBeGreaterThan(revision);
    expect(resolve("retry_stop", newer)).toMatchObject({ type: "moved", container: { revision: newer + 1 } });
    expect(core.containers.resolve("shared-x" as ContainerId, { action: "retry_stop", ...by }, null)).toEqual({
      type: "unknown",
    });
  });

  it("stored by older code, which knew neither rounds nor words, goes on and can be resolved [LEA-17]", () => {
    sql.now.run("UPDATE container SET body = json_remove(body, '$.earlierAttempts', '$.assertion', '$.revision')");
    expect(stopping()).toMatchObject({ earlierAttempts: 0, assertion: null });
    expect(core.containers.container(id)?.revision).toBe(0);
    attempt("present");
    expect(resolve("retry_stop", core.containers.container(id)?.revision)).toMatchObject({ type: "moved" });
    expect(attempt("absent")).toMatchObject({ phase: "gone", attempts: 1, earlierAttempts: 1 });
  });
});
