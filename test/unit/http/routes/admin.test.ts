import { describe, expect, it } from "vitest";
import { inspectionView } from "../../../../src/protocol/resources/operator/admin.ts";
import { expectProblem, httpClient, refusal, testNow } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const session = `/v1/admin/sessions/${sampleId}`;
const order = { action: "assert_absent", reason: "The machine was switched off at 11:00." };

describe("inspect", () => {
  it("shows the state with the tag that a resolve needs [LEA-20]", async () => {
    const client = await httpClient();
    const response = await client.send("GET", session);
    expect(response.headers.get("etag")).toMatch(/^"9-[0-9a-f]{16}"$/);
    expect(inspectionView.strict().parse(await response.json())).toMatchObject({ record: "readable" });
  });
});

describe("resolve", () => {
  it("hands over who, what, why, and the version that was looked at [LEA-20]", async () => {
    const client = await httpClient();
    const headers = { "if-match": '"9"', "x-request-id": "r-1" };
    const response = await client.send("POST", `${session}/resolve`, { json: order, headers });
    expect(response.status).toBe(200);
    inspectionView.strict().parse(await response.json());
    expect(client.calls).toEqual([
      { method: "resolve", object: sampleId, args: [{ by: "admin", requestId: "r-1" }, order, "9"] },
    ]);
  });

  it("without If-Match, or with anything but one strong tag, is 428 and reaches no session [LEA-20]", async () => {
    const client = await httpClient();
    await expectProblem(await client.send("POST", `${session}/resolve`, { json: order }), "precondition_required");
    for (const tag of ["9", '"9", "10"', 'W/"9"', '""', ""]) {
      const call = { json: order, headers: { "if-match": tag } };
      await expectProblem(await client.send("POST", `${session}/resolve`, call), "precondition_required");
    }
    expect(client.calls).toEqual([]);
  });

  it.each([
    ["no reason", { action: "abandon" }, "/reason"],
    ["an empty reason", { action: "abandon", reason: "" }, "/reason"],
    ["a reason that forges a log line", { action: "abandon", reason: "a\nb" }, "/reason"],
    ["a reason of 501", { action: "abandon", reason: "x".repeat(501) }, "/reason"],
    ["another action", { action: "forget", reason: "why not" }, "/action"],
  ])("with %s is 422 and reaches no session [LEA-20]", async (_what, json, pointer) => {
    const client = await httpClient();
    const call = { json, headers: { "if-match": "*" } };
    const problem = await expectProblem(await client.send("POST", `${session}/resolve`, call), "validation_failed");
    expect(problem.errors?.map((error) => error.pointer)).toEqual([pointer]);
    expect(client.calls).toEqual([]);
  });

  it.each([
    ["precondition_failed", 412],
    ["not_stuck", 409],
    ["lease_not_expired", 409],
  ] as const)("%s is %i, in the words of the session", async (code, status) => {
    const detail = "What the session said about it, in a whole sentence.";
    const resolve = async () => refusal({ code, detail, retryAt: testNow + 30_000 });
    const client = await httpClient({ answers: { session: { resolve } } });
    const response = await client.send("POST", `${session}/resolve`, { json: order, headers: { "if-match": '"9"' } });
    expect(response.status).toBe(status);
    expect(response.headers.get("retry-after")).toBe("30");
    await expectProblem(response, code);
  });
});
