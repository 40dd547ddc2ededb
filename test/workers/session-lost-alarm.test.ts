/** A session whose alarm is gone, in the deployed Worker: nothing of its own would ever wake it again, so the cron must. */
import { createScheduledController, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import type { SessionId, TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy as policy } from "../../src/domain/rules/policy.ts";
import type { Env } from "../../src/config/env.ts";
import { handler as worker } from "../support/workers/composed.ts";
import { runsPage } from "../../src/protocol/resources/operator/cleanup.ts";
import type { Caller, SessionApi } from "../../src/session/session-api.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { adminToken, bodyOf, send, sessions, tenants } from "../support/workers/mooring.ts";

afterEach(() => void vi.useRealTimers());

const tick = () => worker.scheduled(createScheduledController(), env as unknown as Env);

it("is found by the cron, looks at itself, and is armed again [FLT-12]", async () => {
  const id = "lostalarm00000000000" as SessionId;
  const tenant = "lost-alarm" as TenantId;
  const caller: Caller = { tenant, requestId: "test", scopes: [] };
  const stub = () => sessions.get(sessions.idFromName(id));
  const alarm = () => runInDurableObject(stub(), (_, state) => state.storage.getAlarm());
  const created = await (stub() as unknown as SessionApi).create(id, caller, {}, null, 60_000);
  expect(created).toMatchObject({ ok: true, value: { body: { status: "running" } } });
  const registry = tenants.get(tenants.idFromName(tenant)) as unknown as TenantApi;
  await expect.poll(() => registry.ledger()).toMatchObject({ counts: { held: 1 } });
  // The slower layers run now, so that only the sweep is due below: the audit would find the session as well, but later.
  await tick();
  await tick();

  await evictDurableObject(stub());
  await runInDurableObject(stub(), (_, state) => state.storage.deleteAlarm());
  // Its next life would arm it again, but nobody begins one: without a request or an alarm there is none.
  await evictDurableObject(stub());

  // Nobody has heard of it for longer than a held session is ever silent.
  vi.useFakeTimers({
    toFake: ["Date"],
    now: Date.now() + policy.reportEveryMs + policy.renewMs + 2 * policy.alarmSlipMs,
  });
  await tick();
  const swept = await send("GET", "/v1/admin/cleanup/runs?layer=sweep&limit=1", { key: adminToken });
  expect((await bodyOf(swept, runsPage)).data).toMatchObject([{ found: 1, done: 1, outcome: "ok" }]);
  const armed = await alarm();
  expect(armed).not.toBeNull();
  expect((armed ?? 0) - Date.now()).toBeLessThanOrEqual(policy.leaseTtlMs);
});
