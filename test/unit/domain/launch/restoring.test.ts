/** A launch whose workspace is still being restored. */
import { expect, it } from "vitest";
import type { Session } from "../../../../src/domain/state/session.ts";
import { reconcile } from "../../../../src/domain/rules/reconcile.ts";
import { failure } from "../../../support/every-event.ts";
import {
  at,
  attempt,
  launching,
  move,
  moveWith,
  newest,
  policy,
  provisioning,
  second,
  snapshot,
  when,
} from "../../../support/sessions.ts";

const launch = attempt("launch-1");
const acting = launching({
  host: null,
  openedAt: at,
  step: { type: "acting", attemptId: launch, deadline: at + 59 * second },
  attempts: [{ attemptId: launch, sentAt: at, outcome: "acting", error: null }],
});
const told = {
  type: "launchFailed",
  generation: newest,
  attemptId: launch,
  failure: { ...failure("restoring"), progress: { doneBytes: 10, totalBytes: 40 } },
  jitter: 0.5,
} as const;

function provisionOf({ desired }: Session) {
  if (desired.type !== "running" || desired.provision === null) throw new Error("nothing is provisioned");
  return desired.provision;
}

it("[BUG-102] is progress and no failed try: it is asked again at once, nothing counts as sent, the view says how far it is", () => {
  const after = move(provisioning({ purpose: "resume" }, { newest: acting, snapshot }), told);
  expect(provisionOf(after)).toMatchObject({
    failures: 0,
    lastError: { code: "restoring", progress: { doneBytes: 10, totalBytes: 40 } },
  });
  expect(after.newest).toMatchObject({ phase: "launching", attempts: [], step: { notBefore: at + second } });
  expect(reconcile(after, at + second, policy)).toContainEqual({ type: "launch", generation: newest });
});

it("[BUG-102] outlives the deadlines of a launch and of a provision, up to a bound of its own", () => {
  let session: Session = provisioning({ purpose: "resume" }, { newest: acting, snapshot });
  for (let after = 5 * second; after < policy.restoreMs; after += 6 * second) {
    session = moveWith(session, told, when(after)).session;
    expect(provisionOf(session).deadline).toBeGreaterThan(at + after + policy.launchCallMs);
    expect(session.newest).toMatchObject({ phase: "launching" });
    session = moveWith(
      session,
      { type: "launchStarted", generation: newest, attemptId: launch },
      when(after + second),
    ).session;
  }
  const given = moveWith(session, told, when(policy.restoreMs + second)).session;
  expect(given).toMatchObject({
    desired: { type: "suspended", cause: "pause" },
    snapshot,
    setback: { code: "restoring" },
  });
});
