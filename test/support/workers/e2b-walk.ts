/** Every success of E2B's and CubeSandbox's surfaces, once, over one sandbox for each of E2B's two bases. */
import { expect } from "vitest";
import { e2bSandbox } from "../../../src/protocol/compat/e2b.ts";
import { bodyOf, send } from "./mooring.ts";

export async function walkCompatible(key: string): Promise<void> {
  for (const base of ["/sandboxes", "/v2/sandboxes"]) {
    const { sandboxID } = await bodyOf(
      await send("POST", base, { key, json: { metadata: { walk: "1" } } }),
      e2bSandbox,
    );
    const path = `${base}/${sandboxID}`;
    const post = async (call: string, json?: object) => {
      const response = await send("POST", `${path}/${call}`, { key, ...(json === undefined ? {} : { json }) });
      return response.status;
    };
    expect((await send("GET", path, { key })).status).toBe(200);
    expect((await send("GET", base, { key })).status).toBe(200);
    expect((await send("GET", `${path}/metrics`, { key })).status).toBe(200);
    expect((await send("GET", "/health", { key, headers: { "e2b-sandbox-id": sandboxID } })).status).toBe(204);
    expect([await post("timeout", { timeout: 600 }), await post("refreshes", { duration: 900 })]).toEqual([204, 204]);
    expect((await send("PUT", `${path}/network`, { key, json: {} })).status).toBe(204);
    expect([await post("connect"), await post("pause"), await post("connect")]).toEqual([200, 204, 201]);
    expect([await post("pause"), await post("resume")]).toEqual([204, 201]);
    for (const [call, field] of [
      ["timeout", "timeout"],
      ["refresh", "duration"],
    ] as const) {
      const json = { sandboxID, [field]: 600 };
      expect((await send("POST", `/cube/sandbox/${call}`, { key, json })).status).toBe(200);
    }
    expect([await post("snapshots", { name: "walked" }), await post("fork", { count: 1 })]).toEqual([201, 201]);
    expect((await send("GET", "/snapshots", { key })).status).toBe(200);
    expect((await send("DELETE", "/templates/walked", { key })).status).toBe(204);
    expect((await send("DELETE", path, { key })).status).toBe(204);
  }
}
