/** Pause, resume and rebuild at the edge: what reaches the session, how it is answered, and that every hint names a call that is there. */
import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { problemStatus, type ProblemCode } from "../../../../src/protocol/problem.ts";
import { jobsRefused } from "../../../../src/session/commands/refusals.ts";
import { expectProblem, httpClient, refusal, testNow } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";
import { lost, paused } from "../../../support/sessions.ts";

const session = `/v1/sessions/${sampleId}`;
const calls = [
  ["pause", undefined],
  ["resume", undefined],
  ["rebuild", { confirm: true }],
] as const;

describe.each(calls)("POST %s", (call, json) => {
  const send = (client: Awaited<ReturnType<typeof httpClient>>, headers: Record<string, string> = {}) =>
    client.send("POST", `${session}/${call}`, { headers, ...(json === undefined ? {} : { json }) });

  it("is 202 with the session as it was stored", async () => {
    const client = await httpClient();
    const response = await send(client);
    expect(response.status).toBe(202);
    expect(response.headers.get("etag")).toMatch(/^"8-[0-9a-f]{16}"$/);
    expect(await response.json()).toMatchObject({
      id: sampleId,
      status: call === "pause" ? "pausing" : "provisioning",
    });
    expect(client.calls.map(({ method, object }) => [method, object])).toEqual([[call, sampleId]]);
  });

  it.each([
    "session_ended",
    "session_paused",
    "session_not_running",
    "sandbox_lost",
    "lease_not_expired",
    "unsupported_by_provider",
    "quota_exhausted",
    "conflict",
  ] satisfies ProblemCode[])("a refusal for %s is passed on with its status", async (code) => {
    const no = async () =>
      refusal({ code, detail: "What happened, what it means and what to do about it.", retryAt: testNow });
    const client = await httpClient({ answers: { session: { [call]: no } } });
    const response = await send(client);
    expect(response.status).toBe(problemStatus[code]);
    await expectProblem(response, code);
  });
});

it.each(["resume", "rebuild"] as const)("%s waits as long as Prefer says, and says what was applied", async (call) => {
  const client = await httpClient();
  const json = call === "rebuild" ? { confirm: true } : {};
  const response = await client.send("POST", `${session}/${call}`, { headers: { prefer: "wait=9" }, json });
  expect(client.calls[0]?.args.at(-1)).toBe(9_000);
  expect(response.headers.get("preference-applied")).toBe("wait=9");
});

it("a resume takes a timeout, or none, and holds it to its range", async () => {
  const client = await httpClient();
  await client.send("POST", `${session}/resume`, { json: { timeout_seconds: 120 } });
  await client.send("POST", `${session}/resume`);
  expect(client.calls.map((call) => call.args[1])).toEqual([120, null]);
  for (const timeout_seconds of [0, -1, 1.5, "60", null, 99_999_999]) {
    const response = await client.send("POST", `${session}/resume`, { json: { timeout_seconds } });
    const problem = await expectProblem(response, "validation_failed");
    expect(problem.errors?.[0]).toMatchObject({ pointer: "/timeout_seconds", detail: expect.stringContaining("1") });
  }
  expect(client.calls).toHaveLength(2);
});

it("a rebuild without confirm: true is refused and reaches no session", async () => {
  const client = await httpClient();
  for (const json of [undefined, {}, { confirm: false }, { confirm: "true" }, { confirm: 1 }]) {
    const response = await client.send("POST", `${session}/rebuild`, json === undefined ? {} : { json });
    const problem = await expectProblem(response, "validation_failed");
    expect(problem.errors?.[0]?.pointer, JSON.stringify(json)).toBe("/confirm");
  }
  expect(client.calls).toEqual([]);
});

it.each([
  ["paused", paused()],
  ["lost", lost()],
] as const)("what is said about a job of a %s session names calls that are there [REB-6]", (_what, of) => {
  const detail = jobsRefused(of)?.detail ?? "";
  const named = [...detail.matchAll(/\b(GET|POST|DELETE) (\/v1\/[a-z/{}]+)/g)].map(([, method, path]) => ({
    method,
    path: path?.replace("{id}", ":id"),
  }));
  expect(named.length).toBeGreaterThan(0);
  for (const call of named) expect(routes).toContainEqual(expect.objectContaining(call));
});
