/** The command that makes a call which `explain` or `attention` names. */
import { expect, it } from "vitest";
import { commandOf } from "../../../src/client/wire/command-of.ts";

it("keeps what the call's query says", () => {
  const call = { method: "GET", path: "/v1/admin/cleanup/runs?layer=sweep", body: null } as const;
  expect(commandOf({ ...call, headers: {} } as never, "")).toBe("mooring api list-cleanup-runs --layer sweep");
});

it.each([
  ["DELETE", "/v1/sessions/abcdefghijklmnopqrst", null, "mooring end abcdefghijklmnopqrst"],
  ["POST", "/v1/sessions/abcdefghijklmnopqrst/pause", null, "mooring api pause-session abcdefghijklmnopqrst"],
  [
    "POST",
    "/v1/sessions/abcdefghijklmnopqrst/timeout",
    { timeout_seconds: 3_600 },
    "mooring api set-session-timeout abcdefghijklmnopqrst --timeout-seconds 3600",
  ],
  [
    "POST",
    "/v1/admin/sessions/abcdefghijklmnopqrst/resolve",
    { action: "retry_stop", reason: "it's back" },
    "mooring resolve abcdefghijklmnopqrst --action retry_stop --reason 'it'\\''s back'",
  ],
  ["POST", "/v1/admin/drain", { draining: false, reason: "over" }, "mooring drain off --reason over"],
  ["POST", "/v1/admin/audits", null, "mooring audit plan"],
] as const)("%s %s is said by one line, in the console and on the command line", (method, path, body, line) => {
  expect(commandOf({ method, path, body }, "abcdefghijklmnopqrst")).toBe(line);
});
