/** What object RPC does on a bad day, and what the client then hears. */
import { describe, expect, it } from "vitest";
import { expectProblem, httpClient, type HttpClient, writtenSession } from "../../../support/http-client.ts";
import { sampleId, sampleSession } from "../../../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;
const lost = () => new Error("Network connection lost at /srv/mooring/src/session/session-object.ts:12");

function failing(times: number, error: () => Error) {
  let left = times;
  return async () => {
    if (left-- > 0) throw error();
    return await writtenSession("7", sampleSession());
  };
}

const methods = (client: HttpClient) => client.calls.map((call) => call.method);

describe("a stub that throws", () => {
  it("a read is sent again once, to a new stub", async () => {
    const client = await httpClient({ answers: { session: { read: failing(1, lost) } } });
    expect((await client.send("GET", session)).status).toBe(200);
    expect(methods(client)).toEqual(["read", "read"]);
  });

  it("a read that fails twice is 503 with Retry-After, not a 500 and not a third try [API-5]", async () => {
    const client = await httpClient({ answers: { session: { read: failing(9, lost) } } });
    const response = await client.send("GET", session);
    expect(response.headers.get("retry-after")).toBe("2");
    expect((await expectProblem(response, "unavailable")).retryable).toBe(true);
    expect(methods(client)).toEqual(["read", "read"]);
  });

  it("an overloaded object is never asked again", async () => {
    const overloaded = () => Object.assign(new Error("overloaded"), { overloaded: true });
    const client = await httpClient({ answers: { session: { read: failing(1, overloaded) } } });
    await expectProblem(await client.send("GET", session), "unavailable");
    expect(methods(client)).toEqual(["read"]);
  });

  it.each([
    ["POST", "/v1/sessions", "create", undefined],
    ["DELETE", session, "delete", undefined],
    ["POST", `${session}/timeout`, "timeout", { timeout_seconds: 60 }],
    ["POST", `${session}/refresh`, "timeout", { duration_seconds: 60 }],
    ["POST", `${session}/keepalive`, "keepalive", undefined],
    ["POST", `${session}/interrupt`, "interrupt", undefined],
    ["POST", `${session}/pause`, "pause", undefined],
    ["POST", `${session}/resume`, "resume", undefined],
    ["POST", `${session}/rebuild`, "rebuild", { confirm: true }],
    ["POST", `${session}/jobs`, "createJob", { command: "true" }],
    ["DELETE", `${session}/jobs/job-1`, "cancelJob", undefined],
    ["POST", `${session}/jobs/job-1/stdin?end=true`, "writeStdin", undefined],
  ])("%s %s is never sent again: it may have happened, and the client is told so", async (method, path, call, json) => {
    const client = await httpClient({ answers: { session: { [call]: failing(1, lost) } } });
    const response = await client.send(method, path, json === undefined ? {} : { json });
    expect((await expectProblem(response, "unavailable")).detail).toContain("may or may not");
    expect(methods(client)).toEqual([call]);
  });

  it("a list whose shard does not answer is 503, never a short page", async () => {
    const list = async () => {
      throw lost();
    };
    const client = await httpClient({ answers: { shard: { list } } });
    await expectProblem(await client.send("GET", "/v1/sessions"), "unavailable");
  });

  it("the stack is in no log [API-5]", async () => {
    const client = await httpClient({ answers: { session: { read: failing(2, () => new TypeError("boom")) } } });
    await client.send("GET", session);
    expect(JSON.stringify(client.log)).not.toMatch(/http-backend\.test|node_modules/);
    expect(client.log.filter((line) => line.level === "warn").map((line) => line.fields["error"])).toEqual([
      "TypeError: boom",
      "TypeError: boom",
    ]);
  });
});
