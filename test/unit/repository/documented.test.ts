/** The check that holds answers against the document, shown to fail: one that let everything pass would prove nothing. */
import { describe, expect, it } from "vitest";
import { holdToDocument } from "../../support/documented.ts";
import { sampleId, sampleSession } from "../../support/sample-views.ts";

const path = `/v1/sessions/${sampleId}`;
const answer = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
const problem = (code: string, status: number, more: object = {}) => {
  const instance = "https://mooring.test/console";
  const body = {
    type: "urn:x",
    title: "x",
    status,
    code,
    detail: "x",
    retryable: false,
    request_id: "x",
    instance,
    ...more,
  };
  return answer(body, status, { "content-type": "application/problem+json" });
};

describe("an answer is held against the document [API-4]", () => {
  it("and passes when it is as described", async () => {
    await holdToDocument("GET", path, answer(sampleSession(), 200, { etag: '"1"' }));
    await holdToDocument("GET", path, problem("not_found", 404));
    await holdToDocument("HEAD", path, new Response(null));
    await holdToDocument("GET", "/v1/nothing", problem("not_found", 404));
  });

  it.each([
    ["a field that is not described", "GET", path, answer({ ...sampleSession(), mood: "good" })],
    ["a field of a part", "GET", path, answer(sampleSession({ teardown: { mood: "good" } as never }))],
    ["a missing field", "GET", path, answer({ id: sampleId })],
    ["a wrong type", "GET", path, answer({ ...sampleSession(), ghosts: "0" })],
    ["a time that is none", "GET", path, answer(sampleSession({ end_at: "soon" }))],
    ["an undescribed status", "GET", path, answer(sampleSession(), 206)],
    ["an undescribed header", "GET", path, answer(sampleSession(), 200, { "x-mood": "good" })],
    ["another media type", "GET", path, answer("", 200, { "content-type": "text/html" })],
    ["a code of another route", "GET", path, problem("idempotency_mismatch", 422)],
    ["a code with another's status", "GET", path, problem("not_found", 422)],
    ["an undescribed field of a problem", "GET", path, problem("not_found", 404, { stack: "x" })],
    ["a body where none is described", "POST", `${path}/jobs/a/stdin`, new Response("x", { status: 200 })],
    ["a success of no route", "GET", "/v1/nothing", answer({})],
  ])("and fails for %s", async (_what, method, url, response) => {
    await expect(holdToDocument(method, url, response)).rejects.toThrow("unlike the document");
  });
});
