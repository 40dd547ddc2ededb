/** The compatible surfaces over the real objects, in workerd with the memory provider: one session through every API. */
import { describe, expect, it } from "vitest";
import { cubeReply } from "../../src/protocol/compat/cube.ts";
import { e2bError, e2bListedSandbox, e2bSandbox, e2bSandboxDetail } from "../../src/protocol/compat/e2b.ts";
import { sessionView } from "../../src/protocol/resources/session/sessions.ts";
import { adminToken, bodyOf, keyOf, send } from "../support/workers/mooring.ts";

const made = async (tenant: string, json: object = {}) => {
  const key = await keyOf(tenant);
  const response = await send("POST", "/v2/sandboxes", { key, json });
  const { sandboxID, envdAccessToken } = await bodyOf(response, e2bSandbox);
  return { key, id: sandboxID, token: envdAccessToken ?? "", status: response.status };
};

describe("an E2B sandbox in workerd", () => {
  it("is one session for every API: made, listed, moved, paused, resumed and killed [API-8] [CLK-1]", async () => {
    const { key, id, token, status } = await made("e2b-life", { metadata: { team: "a b" }, timeout: 120 });
    expect(status).toBe(201);
    const health = async (headers: Record<string, string> = { "x-access-token": token }) =>
      (await send("GET", "/health", { key: "none", headers: { "e2b-sandbox-id": id, ...headers } })).status;
    expect(await health()).toBe(204);
    expect([await health({}), await health({ "x-access-token": `${token.slice(0, -1)}x` })]).toEqual([401, 401]);
    const native = async () => await bodyOf(await send("GET", `/v1/sessions/${id}`, { key }), sessionView);
    const detail = async () => await bodyOf(await send("GET", `/sandboxes/${id}`, { key }), e2bSandboxDetail);
    expect([(await native()).idle_timeout_seconds, (await native()).timeout_seconds]).toEqual([null, 120]);
    expect((await send("POST", `/sandboxes/${id}/timeout`, { key, json: { timeout: 900 } })).status).toBe(204);
    expect((await detail()).endAt).toBe((await native()).end_at);
    await expect
      .poll(async () => {
        const listed = await send("GET", `/v2/sandboxes?metadata=${encodeURIComponent("team=a%2520b")}`, { key });
        return e2bListedSandbox
          .strict()
          .array()
          .parse(await listed.json())
          .map(({ sandboxID }) => sandboxID);
      })
      .toEqual([id]);
    expect((await send("POST", `/sandboxes/${id}/pause`, { key })).status).toBe(204);
    expect([(await native()).status, (await detail()).state, await health()]).toEqual(["paused", "paused", 502]);
    expect((await send("POST", `/v2/sandboxes/${id}/pause`, { key })).status).toBe(409);
    expect((await send("POST", `/sandboxes/${id}/timeout`, { key, json: { timeout: 60 } })).status).toBe(409);
    const connects = await Promise.all(
      Array.from({ length: 6 }, () => send("POST", `/v2/sandboxes/${id}/connect`, { key })),
    );
    for (const each of connects) expect([200, 201]).toContain(each.status);
    expect([(await native()).status, await health()]).toEqual(["running", 204]);
    const kills = await Promise.all([1, 2, 3].map(() => send("DELETE", `/sandboxes/${id}`, { key })));
    const statuses = kills.map((each) => each.status);
    expect(statuses.toSorted((one, other) => one - other)).toEqual([204, 404, 404]);
    expect((await native()).terminate_reason).toBe("requested");
    expect([await health(), (await send("GET", `/sandboxes/${id}`, { key })).status]).toEqual([502, 404]);
  });

  it("is nobody else's: another tenant, the admin, an unknown id [API-3] [SEC-2]", async () => {
    const { key, id } = await made("e2b-owner");
    const stranger = await keyOf("e2b-stranger");
    for (const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["POST", "/connect"],
      ["POST", "/resume"],
      ["POST", "/pause"],
      ["POST", "/refreshes"],
      ["GET", "/metrics"],
    ] as const) {
      const response = await send(method, `/sandboxes/${id}${path}`, { key: stranger });
      expect([response.status, (await bodyOf(response, e2bError)).code]).toEqual([404, 404]);
      expect((await send(method, `/sandboxes/${id}${path}`, { key: adminToken })).status).toBe(401);
    }
    expect((await send("DELETE", `/sandboxes/${id}`, { key })).status).toBe(204);
  });
});

describe.each([
  ["timeout", "timeout"],
  ["refresh", "duration"],
] as const)("CubeSandbox's %s in workerd", (call, field) => {
  it("sets the stored end, nearer too, says 310410 once it has ended, and 404 to others [API-14] [CLK-1] [CLK-4]", async () => {
    const { key, id } = await made(`cube-${call}`);
    const ask = (seconds: number, credential = key) =>
      send("POST", `/cube/sandbox/${call}`, { key: credential, json: { sandboxID: id, [field]: seconds } });
    const end = async () => (await bodyOf(await send("GET", `/v1/sessions/${id}`, { key }), sessionView)).end_at;
    let before = Infinity;
    for (const seconds of [3_000, 60, 1_200]) {
      const asked = Date.now();
      const { ret, end_at: endAt = 0 } = await bodyOf(await ask(seconds), cubeReply);
      expect([ret.ret_code, endAt]).toEqual([200, Date.parse(await end())]);
      expect(endAt).toBeGreaterThanOrEqual(asked + seconds * 1_000);
      expect(endAt).not.toBe(before);
      before = endAt;
    }
    const stranger = await ask(60, await keyOf(`cube-${call}-stranger`));
    expect([stranger.status, (await bodyOf(stranger, cubeReply)).ret.ret_code]).toEqual([404, 130_404]);
    const tooLong = await ask(86_401);
    expect([tooLong.status, (await bodyOf(tooLong, cubeReply)).ret.ret_code]).toEqual([400, 130_400]);
    expect(Date.parse(await end())).toBe(before);
    await send("DELETE", `/v1/sessions/${id}`, { key });
    const ended = await ask(60);
    const body = await bodyOf(ended, cubeReply);
    expect([ended.status, body.ret.ret_code, body.end_at]).toEqual([410, 310_410, undefined]);
    expect(Date.parse(await end())).toBe(before);
  });
});
