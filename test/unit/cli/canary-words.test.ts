/** What `mooring fleet` says of the canary: one that is out and not found yet must not look like none at all. */
import { expect, it } from "vitest";
import { canaryWords } from "../../../src/cli/commands/look/fleet.ts";

const now = Date.parse("2026-11-30T12:00:00Z");
const never = { planted_at: null, found_after_seconds: null, ended_by: null, missed: false };

it("tells a canary that is out from none and from one that was found", () => {
  expect(canaryWords(never, now)).toBe("none yet");
  const out = { ...never, planted_at: "2026-11-30T11:45:00Z" };
  expect(canaryWords(out, now)).toBe("one is out, planted 15m ago");
  expect(canaryWords({ ...never, found_after_seconds: 903.4, ended_by: "audit" }, now)).toBe("found after 903 s");
  expect(canaryWords({ ...out, found_after_seconds: 903.4, ended_by: "audit" }, now)).toBe(
    "found after 903 s; one is out, planted 15m ago",
  );
});
