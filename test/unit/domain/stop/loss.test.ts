import { describe, expect, it } from "vitest";
import { desiredAfterLoss } from "../../../../src/domain/rules/on-loss.ts";
import type { Session } from "../../../../src/domain/state/session.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { failure } from "../../../support/every-event.ts";
import {
  acting,
  apply,
  at,
  attempt,
  goneEvidence,
  held,
  look,
  lost,
  minute,
  move,
  moveWith,
  newest,
  noted,
  paused,
  policy,
  session,
  stopping,
  when,
} from "../../../support/sessions.ts";

const absent = { type: "observedAbsent", generation: newest, observation: look("absent", 0) } as const;
const finished = {
  type: "stopFinished",
  generation: newest,
  attemptId: attempt("stop-1"),
  ...goneEvidence(),
  error: null,
  jitter: 0,
} as const;

function losing(onLoss: Session["lifecycle"]["onLoss"], changes: Partial<Session> = {}): Session {
  return session({ lifecycle: { onTimeout: "kill", onLoss }, ...changes });
}

describe("when a sandbox is lost", () => {
  it("hold keeps the session, lost, with a rebuild on offer once it is proven gone [REB-5]", () => {
    const moved = moveWith(losing("hold"), absent);
    expect(moved.session.desired).toEqual({ type: "suspended", cause: "loss", since: at, resumeQueued: false });
    expect(statusOf(moved.session)).toBe("recovering");
    expect(noted(moved)).toEqual(["sandbox_lost"]);
    expect(moved.effects).toContainEqual({ type: "settleJobs", generation: newest, as: "lost" });
    const gone = move({ ...moved.session, newest: stopping(acting) }, finished);
    expect(statusOf(gone)).toBe("lost");
    expect(gone.alive.since).toBeNull();
    const rebuilt = moveWith(gone, { type: "rebuildRequested" }, when(minute));
    expect(rebuilt.session.desired).toMatchObject({
      type: "running",
      provision: { purpose: "rebuild", deadline: at + minute + policy.provisionMs },
    });
    expect(rebuilt.session.activity).toEqual({ lastAt: at + minute, activeJobs: 0, reportedAt: at + minute });
  });

  it("relaunch replaces it three times, then holds [REB-5]", () => {
    const outcomes = [0, 1, 2, 3].map((relaunches) => {
      const after = move(losing("relaunch", { relaunches }), absent);
      return [after.desired.type, after.relaunches, statusOf(after)];
    });
    expect(outcomes).toEqual([
      ["running", 1, "recovering"],
      ["running", 2, "recovering"],
      ["running", 3, "recovering"],
      ["suspended", 3, "recovering"],
    ]);
    expect(move(losing("relaunch"), absent).desired).toMatchObject({
      provision: { purpose: "relaunch", step: { notBefore: at } },
    });
  });

  it("drops no waiting job of a session that goes on: a rebuild or relaunch runs them [REB-5]", () => {
    for (const onLoss of ["hold", "relaunch"] as const) {
      const { effects } = moveWith(losing(onLoss), absent);
      expect(effects.map((effect) => effect.type)).toEqual(["note", "settleJobs"]);
    }
  });

  it("terminate ends it as failed, and drops what waited [REB-5]", () => {
    const moved = moveWith(losing("terminate"), absent);
    expect(moved.session.desired).toEqual({
      type: "terminated",
      reason: "failed",
      at,
      endedAt: null,
      failure: "The sandbox was lost: said absent",
    });
    expect(moved.effects).toContainEqual({ type: "dropQueue" });
    expect(statusOf(move({ ...moved.session, newest: stopping(acting) }, finished))).toBe("failed");
    expect(desiredAfterLoss(losing("hold"), "why", at, policy).relaunches).toBe(0);
  });

  it("every way to lose one means the same: absent, foreign, lapsed, another protocol [REB-5]", () => {
    const failed = (code: "foreign_instance" | "protocol_unsupported") =>
      ({ type: "renewalFailed", generation: newest, sequence: 7, failure: failure(code), jitter: 0 }) as const;
    const ways = [
      move(losing("hold"), absent),
      move(losing("hold"), failed("foreign_instance")),
      move(losing("hold"), failed("protocol_unsupported")),
      move(losing("hold", { newest: held({ failures: 1, acceptedSentAt: at - 310_000 }) }), {
        type: "timePassed",
        jitter: 0,
      }),
    ];
    expect(ways.map((each) => (each.newest?.phase === "stopping" ? each.newest.reason : each.newest?.phase))).toEqual([
      "lost",
      "foreign",
      "protocol",
      "lapsed",
    ]);
    for (const each of ways) expect(each.desired).toMatchObject({ type: "suspended", cause: "loss" });
  });

  it("before its contents were saved, a pause says so: lost, not paused, and no resume of nothing [DEL-10]", () => {
    const saving = paused({
      newest: held({ gate: { type: "saving", for: "pause", attemptId: attempt("save-1"), deadline: at + minute } }),
      snapshot: null,
    });
    const relaunching = { ...saving, lifecycle: { onTimeout: "kill", onLoss: "relaunch" } as const };
    expect(move(relaunching, absent)).toMatchObject({ desired: { type: "suspended", cause: "loss" }, relaunches: 0 });
    const after = move(saving, absent);
    expect(after.desired).toEqual({ type: "suspended", cause: "loss", since: at, resumeQueued: false });
    expect(apply(after, { type: "resumeRequested", timeoutMs: 1 })).toMatchObject({
      rejection: { code: "sandbox_lost" },
    });
    expect(apply(lost(), { type: "pauseRequested" })).toMatchObject({ rejection: { code: "sandbox_lost" } });
  });
});
