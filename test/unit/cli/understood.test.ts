/** Lines that Mooring shows to people are lines that `mooring` takes. */
import { expect, it } from "vitest";
import { alertRules } from "../../../src/fleet/alerts/alert-rules.ts";
import { withRelativeTimes } from "../../../src/cli/commands/look/why.ts";
import { misunderstood } from "../../support/understood.ts";

it("the first thing to run of every alert is a command of mooring [PEO-4]", () => {
  for (const { name, cli } of alertRules) expect(misunderstood(cli), name).toBeNull();
});

it.each([
  ["curl -s http://127.0.0.1", "no line of mooring"],
  ["mooring fleets", "no command fleets"],
  ["mooring sessions --overdue", "it has no --overdue"],
  ["mooring sessions --blocked tuesday", "'tuesday' is invalid"],
  ["mooring why", "it needs more words"],
  ["mooring fleet now", "it takes fewer words"],
  ["mooring fleet | mooring nothing", "no command nothing"],
])("a line that mooring does not take is told: %s", (line, why) => {
  expect(misunderstood(line)).toContain(why);
});

it("why says instants as times that have passed or come, like everything around them", () => {
  const now = Date.parse("2026-12-01T10:00:00.000Z");
  expect(withRelativeTimes("It was renewed at 2026-12-01T09:59:50.000Z; more at 2026-12-01T10:05:00.000Z.", now)).toBe(
    "It was renewed 10s ago; more in 5m.",
  );
});
