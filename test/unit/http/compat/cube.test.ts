/** CubeSandbox's timeout and refresh: its shapes and numbers over the one native call. */
import { describe, expect, it } from "vitest";
import { cubeReply } from "../../../../src/protocol/compat/cube.ts";
import { problemCodes } from "../../../../src/protocol/problem.ts";
import { expectRefusal, httpClient, refusal } from "../../../support/http-client.ts";
import { sampleId, sampleSession } from "../../../support/sample-views.ts";

const calls = [
  ["timeout", "timeout"],
  ["refresh", "duration"],
] as const;

describe.each(calls)("POST /cube/sandbox/%s", (call, field) => {
  const path = `/cube/sandbox/${call}`;

  it("sets the end, and answers with the stored one in epoch ms [API-14] [CLK-1]", async () => {
    const client = await httpClient();
    const json = { requestID: "r-7", sandboxID: sampleId, instanceType: "cubebox", [field]: 600, more: {} };
    const response = await client.send("POST", path, { json });
    expect([response.status, cubeReply.strict().parse(await response.json())]).toEqual([
      200,
      {
        requestID: "r-7",
        sandboxID: sampleId,
        ret: { ret_code: 200, ret_msg: "Success" },
        end_at: Date.parse(sampleSession().end_at),
      },
    ]);
    // Both set it, as there: the native refresh would only extend.
    expect(client.calls.map(({ method, object, args }) => [method, object, ...args.slice(1)])).toEqual([
      ["timeout", sampleId, "timeout", 600],
    ]);
  });

  it("a JSON body needs no Content-Type, and the key may come as X-API-KEY [API-14]", async () => {
    const client = await httpClient();
    const body = new TextEncoder().encode(JSON.stringify({ sandboxID: sampleId, [field]: 60 }));
    expect((await client.send("POST", path, { body })).status).toBe(200);
  });

  it.each([-1, -2, 1.5, "60", null, 86_401, 1e300, ...(call === "refresh" ? [0] : [])])(
    "%j seconds are 400 with 130400, and change nothing [API-14] [CLK-6]",
    async (seconds) => {
      const client = await httpClient();
      const response = await client.send("POST", path, { json: { sandboxID: sampleId, [field]: seconds } });
      const { ret, end_at } = cubeReply.strict().parse(await response.json());
      expect([response.status, ret.ret_code, end_at]).toEqual([400, 130_400, undefined]);
      expect(ret.ret_msg).toContain(`${field}: `);
      expect(client.calls).toEqual([]);
    },
  );

  it.each(["", "..", "../../../etc", "ABCDEFGHIJ0123456789", "\u0000", "🦀", "x".repeat(1_000)])(
    "the id %j is 404 with 130404, and asks no object [API-14] [SEC-5]",
    async (sandboxID) => {
      const client = await httpClient();
      const response = await client.send("POST", path, { json: { sandboxID, [field]: 60 } });
      expect([response.status, cubeReply.parse(await response.json()).ret.ret_code]).toEqual([404, 130_404]);
      expect(client.calls).toEqual([]);
    },
  );

  it("an ended session is 410 with 310410 [API-14] [CLK-4]", async () => {
    const detail = "The session has ended; it cannot be changed any more. Create a new one.";
    for (const code of ["session_ended", "session_gone"] as const) {
      const client = await httpClient({ answers: { session: { timeout: async () => refusal({ code, detail }) } } });
      const response = await client.send("POST", path, { json: { sandboxID: sampleId, [field]: 60 } });
      expect([response.status, cubeReply.strict().parse(await response.json())]).toEqual([
        410,
        { requestID: expect.any(String), ret: { ret_code: 310_410, ret_msg: detail } },
      ]);
    }
  });

  it.each(problemCodes.filter((code) => code !== "method_not_allowed"))(
    "%s is never told as a success: neither the status nor the code nor an end says so [API-14]",
    async (code) => {
      const detail = "What happened, what it means and what to do about it.";
      const client = await httpClient({ answers: { session: { timeout: async () => refusal({ code, detail }) } } });
      const response = await client.send("POST", path, { json: { sandboxID: sampleId, [field]: 60 } });
      expect(await expectRefusal(path, response, code)).toBe(detail);
    },
  );
});

it("a timeout of 0 means now, and a refresh without a duration the configured default [API-14]", async () => {
  const client = await httpClient();
  await client.send("POST", "/cube/sandbox/timeout", { json: { sandboxID: sampleId, timeout: 0 } });
  await client.send("POST", "/cube/sandbox/refresh", { json: { sandboxID: sampleId } });
  expect(client.calls.map(({ args }) => args[2])).toEqual([0, 3_600]);
});
