/** Webhooks in the real objects: a session's events become deliveries by themselves, and the alarm stands behind each attempt. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { SessionId } from "../../src/domain/state/ids.ts";
import type { SessionApi } from "../../src/session/session-api.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";

const bound = env as unknown as { readonly TENANTS: DurableObjectNamespace; readonly SESSIONS: DurableObjectNamespace };
const tenant = "hooked";
const caller = { tenant: tenant as never, requestId: "test", scopes: [] };
const id = "hooked00000000000001" as SessionId;

it("what happens to a session is queued in order, tried, and dated anew behind an alarm when nobody is there [API-7] [I5]", async () => {
  const stub = bound.TENANTS.get(bound.TENANTS.idFromName(tenant));
  const registry = stub as unknown as TenantApi;
  // A port that nobody serves: the attempt fails, whatever network there is.
  const made = await registry.createWebhook({ url: "https://hooks.example.com:1/x" });
  if (!made.ok) throw new Error(made.problem.detail);
  const hook = made.value.id;
  const session = bound.SESSIONS.get(bound.SESSIONS.idFromName(id)) as unknown as SessionApi;
  const created = await session.create(id, caller, {}, null, 60_000);
  expect(created).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  const deliveries = async () => {
    const page = await registry.webhookDeliveries(hook, { state: null, before: null, limit: 100 });
    if (!page.ok) throw new Error(page.problem.detail);
    return page.value.deliveries.toReversed();
  };
  await expect.poll(async () => (await deliveries()).map((each) => each.type)).toContain("session.running");
  await expect.poll(async () => (await deliveries())[0]?.attempt_count ?? 0).toBeGreaterThan(0);
  const [first, ...behind] = await deliveries();
  expect(first).toMatchObject({ type: "session.created", session_id: id, state: "pending" });
  // Those after it wait for it.
  expect(behind.every((each) => each.attempt_count === 0 && each.state === "pending")).toBe(true);
  const alarm = await runInDurableObject(stub, (_, state) => state.storage.getAlarm());
  expect(alarm).not.toBeNull();
  // The secret is in no row.
  const rows = await runInDurableObject(stub, (_, state) =>
    JSON.stringify(state.storage.sql.exec("SELECT * FROM webhook").toArray()),
  );
  expect(rows).not.toContain(made.value.secret);
  expect(rows).toContain("sealed:1:");
  expect(await registry.deleteWebhook(hook)).toEqual({ ok: true, value: null });
  await session.delete(caller, "requested");
});
