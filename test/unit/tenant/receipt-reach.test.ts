/** What a receipt says about how far its looks could see. */
import { expect, it } from "vitest";
import type { Containment } from "../../../src/domain/state/observation.ts";
import { teardownOf } from "../../../src/session/commands/view.ts";
import { sessionId } from "../../support/reports.ts";
import { closed, look, second } from "../../support/sessions.ts";

function evidenceOf(...looks: readonly (Containment | undefined)[]): string {
  const lease = closed();
  const observations = looks.map((containment, index) => look("absent", index * second, undefined, { containment }));
  return teardownOf(sessionId("s"), { ...lease, receipt: { ...lease.receipt, observations } }).evidence ?? "";
}

it("says what its looks could not have seen, and the weaker of the two counts [PHY-14]", () => {
  expect(evidenceOf("container", "container")).toContain("Whatever a job started was in the container that is gone.");
  expect(evidenceOf("cgroup", "cgroup")).toContain("unless it had root's rights");
  expect(evidenceOf("user", "user")).toContain("a user that nobody else had");
  expect(evidenceOf("container", "user")).toContain("a user that nobody else had");
  expect(evidenceOf("user", "marker")).toContain("would not have been seen");
  expect(evidenceOf("cgroup", "marker")).toContain("would not have been seen");
  expect(evidenceOf("marker", "container")).toContain("would not have been seen");
});

it("claims nothing for looks that did not say [PHY-14]", () => {
  expect(evidenceOf(undefined, undefined)).toMatch(/found nothing of it\.$/);
});
