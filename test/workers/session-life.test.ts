/** The deployed object as it is: its own wiring and timers, the platform's own alarms. Nothing here runs an alarm by hand. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { SessionId, TenantId } from "../../src/domain/state/ids.ts";
import type { Caller, SessionApi } from "../../src/session/session-api.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { sessions, tenants } from "../support/workers/mooring.ts";

function deployed(name: string) {
  const id = `life${name.padStart(16, "0")}` as SessionId;
  const tenant = `life-${name}` as TenantId;
  const caller: Caller = { tenant, requestId: "test", scopes: [] };
  const stub = () => sessions.get(sessions.idFromName(id));
  return {
    id,
    caller,
    stub,
    api: () => stub() as unknown as SessionApi,
    registry: () => tenants.get(tenants.idFromName(tenant)) as unknown as TenantApi,
  };
}

describe("the session object as deployed", () => {
  it("creates, runs, works, deletes and leaves a receipt, through evictions [LEA-7] [DEL-7] [API-11]", async () => {
    const { id, caller, stub, api, registry } = deployed("whole");
    const created = await api().create(id, caller, { labels: { a: "b" } }, null, 60_000);
    expect(created).toMatchObject({ ok: true, value: { body: { status: "running" } } });
    await evictDurableObject(stub());
    expect(await api().createJob(caller, { id: "job", command: "echo hi; exit 4" })).toMatchObject({ ok: true });
    const ended = await api().job(caller, "job", 5_000);
    expect(ended).toMatchObject({ ok: true, value: { state: "failed", exit_code: 4, output_tail: "hi\n" } });
    await evictDurableObject(stub());
    expect(await api().delete(caller, "requested")).toMatchObject({ ok: true });
    await expect.poll(() => registry().receipt(id, null)).toMatchObject({ phase: "closed" });
    await evictDurableObject(stub());
    const read = await api().get(caller);
    expect(read).toMatchObject({ ok: true, value: { body: { status: "terminated", terminate_reason: "requested" } } });
    expect(await registry().ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("idle and evicted, is woken by the platform, ended and proven gone without a single request [LEA-7] [CLK-7] [I5]", async () => {
    const { id, caller, stub, api, registry } = deployed("alone");
    const created = await api().create(id, caller, { idle_timeout_seconds: 2 }, null, 60_000);
    expect(created).toMatchObject({ ok: true, value: { body: { status: "running" } } });
    await evictDurableObject(stub());
    await expect
      .poll(() => registry().receipt(id, null), { interval: 100 })
      .toMatchObject({ phase: "closed", reason: "terminated" });
    const read = await api().get(caller);
    expect(read).toMatchObject({ ok: true, value: { body: { terminate_reason: "idle_timeout" } } });
    // What is left to do is the erasure, a week from now. The alarm that covered the stop may come first, and then arms that.
    const aheadMs = async () => {
      const alarm = await runInDurableObject(stub(), (_, state) => state.storage.getAlarm());
      return (alarm ?? 0) - Date.now();
    };
    await expect.poll(aheadMs, { interval: 100 }).toBeGreaterThan(86_400_000);
  });
});
