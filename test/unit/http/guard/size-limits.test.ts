/** What a request may weigh, at the ceiling of the protocol and at what a deployment sets below it; and its trace. */
import { describe, expect, it } from "vitest";
import { expectProblem, httpClient, type HttpClient, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const jobs = `/v1/sessions/${sampleId}/jobs`;
const configured = (env: Record<string, string>) =>
  httpClient({ env: { SANDBOX_PROVIDER: "memory", ...testSecrets, ...env } });

describe("what is too large", () => {
  it("in its headers is 431 with the limit, before anything is looked at [SEC-4]", async () => {
    const client = await configured({ MAX_HEADER_BYTES: "4096" });
    for (const path of ["/healthz", jobs, "/v1/admin/stats"]) {
      const problem = await expectProblem(
        await client.send("GET", path, { headers: { "x-large": "x".repeat(4_100) } }),
        "headers_too_large",
      );
      expect(problem.limit).toBe(4_096);
    }
    expect((await client.send("GET", jobs, { headers: { "x-large": "x".repeat(3_000) } })).status).toBe(200);
    expect(client.calls.map((call) => call.method)).toEqual(["jobs"]);
  });

  it("in its body is 413 at the configured size, counted or declared, and leaves nothing changed [SEC-4]", async () => {
    const client = await configured({ MAX_BODY_BYTES: "2048" });
    const large = JSON.stringify({ command: "true", env: { A: "x".repeat(2_048) } });
    const json = { "content-type": "application/json" };
    const streamed = new Blob([large]).stream();
    for (const body of [large, streamed]) {
      const problem = await expectProblem(
        await client.send("POST", jobs, { headers: json, body }),
        "payload_too_large",
      );
      expect(problem.limit).toBe(2_048);
    }
    await expectProblem(
      await client.send("POST", `${jobs}/job-1/stdin`, { body: new Uint8Array(2_049) }),
      "payload_too_large",
    );
    await expectProblem(
      await client.send("POST", "/v1/admin/drain", { headers: json, body: large }),
      "payload_too_large",
    );
    expect(client.calls).toEqual([]);
    const fits = { command: "true", env: { A: "x".repeat(1_500) } };
    expect((await client.send("POST", jobs, { json: fits })).status).toBe(201);
    expect((await client.send("POST", `${jobs}/job-1/stdin`, { body: new Uint8Array(2_048) })).status).toBe(204);
  });

  it("as a command or labels is 422 at the configured size, in bytes and in characters [SEC-4]", async () => {
    const client = await configured({ MAX_COMMAND_BYTES: "256", MAX_LABELS: "2", MAX_LABEL_CHARACTERS: "5" });
    const refused = async (path: string, json: unknown, pointer: string, limit: string) => {
      const problem = await expectProblem(await client.send("POST", path, { json }), "validation_failed");
      expect(problem.errors).toEqual([{ pointer, detail: expect.stringContaining(limit) as string }]);
    };
    await refused(jobs, { command: "é".repeat(129) }, "/command", "256");
    await refused(jobs, { argv: ["echo", "x".repeat(252)] }, "/argv", "256");
    await refused("/v1/sessions", { labels: { a: "1", b: "2", c: "3" } }, "/labels", "2");
    await refused("/v1/sessions", { labels: { a: "123456" } }, "/labels/a", "5");
    expect(client.calls).toEqual([]);
    expect((await client.send("POST", jobs, { json: { command: "é".repeat(128) } })).status).toBe(201);
    expect((await client.send("POST", "/v1/sessions", { json: { labels: { a: "12345", b: "2" } } })).status).toBe(201);
  });
});

/** What the object was handed. */
function passedOn(client: HttpClient): string {
  const [call] = client.calls;
  if (call === undefined) throw new Error("nothing was called");
  return (call.args[0] as { readonly traceparent: string }).traceparent;
}

describe("a trace", () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const parent = "00f067aa0ba902b7";

  it("of the client goes on to the session with a span of ours, and is in the log", async () => {
    const client = await httpClient();
    await client.send("GET", jobs, {
      headers: { traceparent: `00-${traceId}-${parent}-01`, "x-request-id": "mine-1" },
    });
    const traceparent = passedOn(client);
    expect(traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    expect(traceparent).not.toContain(parent);
    expect(client.log.at(-1)?.fields).toMatchObject({ trace_id: traceId, request_id: "mine-1" });
  });

  it.each([
    ["none", ""],
    ["an unknown version ff", `ff-${traceId}-${parent}-01`],
    ["no trace", `00-${"0".repeat(32)}-${parent}-01`],
    ["no parent", `00-${traceId}-${"0".repeat(16)}-01`],
    ["upper case", `00-${traceId.toUpperCase()}-${parent}-01`],
    ["more than its version has", `00-${traceId}-${parent}-01-more`],
    ["something else", "x".repeat(500)],
  ])("that is %s is replaced by a new one; nothing of it is passed on [SEC-5]", async (_what, header) => {
    const client = await httpClient();
    await client.send("GET", jobs, { headers: { traceparent: header } });
    const traceparent = passedOn(client);
    expect(traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(traceparent).not.toContain(traceId);
  });
});
