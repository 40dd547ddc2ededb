/** Shared containers as deployed: real objects, the platform's own alarms, the memory provider behind them. */
import { describe, expect, it } from "vitest";
import type { SessionId, TenantId } from "../../src/domain/state/ids.ts";
import type { Caller, SessionApi } from "../../src/session/session-api.ts";
import type { TenantApi } from "../../src/tenant/tenant-api.ts";
import { sessions, tenants } from "../support/workers/mooring.ts";

function tenant(name: string) {
  const id = `shared-${name}` as TenantId;
  const registry = () => tenants.get(tenants.idFromName(id)) as unknown as TenantApi;
  const caller: Caller = { tenant: id, requestId: "test", scopes: [] };
  const session = (count: number) => {
    const session = `${name}${String(count).padStart(20 - name.length, "0")}` as SessionId;
    const api = () => sessions.get(sessions.idFromName(session)) as unknown as SessionApi;
    return {
      id: session,
      begin: () => api().create(session, caller, { isolation: "shared" }, null, 60_000),
      end: () => api().delete(caller, "requested"),
      view: async () => {
        const read = await api().get(caller);
        if (!read.ok) throw new Error(read.problem.detail);
        return read.value.body;
      },
    };
  };
  const phases = async () =>
    Object.fromEntries(
      (await registry().containers(null, 100)).map(({ container }) => [container.id, container.phase]),
    );
  return { registry, session, phases };
}

describe("shared containers as deployed", () => {
  it("the end of one member leaves its sibling running, and the end of the last frees the container, with a receipt [CAP-10] [DEL-7]", async () => {
    const { registry, session, phases } = tenant("siblings");
    const [one, other] = [session(1), session(2)];
    for (const each of [one, other])
      expect(await each.begin()).toMatchObject({ value: { body: { status: "running" } } });
    const { container_id: container } = await one.view();
    expect((await other.view()).container_id).toBe(container);
    await one.end();
    await expect.poll(async () => (await one.view()).status).toBe("terminated");
    expect(await other.view()).toMatchObject({ status: "running", container_id: container });
    expect(await phases()).toEqual({ [container ?? ""]: "open" });
    await other.end();
    await expect.poll(phases).toEqual({ [container ?? ""]: "gone" });
    expect(await registry().containers(null, 10)).toMatchObject([
      { container: { reason: "empty", retired: { host: "memory-host" }, attempts: 1 }, members: [] },
    ]);
    expect(await registry().ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("the last member leaving and a newcomer joining at once never end the newcomer, round after round [CAP-10]", async () => {
    const { registry, session, phases } = tenant("race");
    let last = session(0);
    await last.begin();
    for (let round = 1; round <= 8; round += 1) {
      const next = session(round);
      const [, begun] = await Promise.all([last.end(), next.begin()]);
      expect(begun, `round ${round}`).toMatchObject({ ok: true });
      await expect.poll(async () => (await next.view()).status).toBe("running");
      await expect.poll(async () => (await last.view()).status).toBe("terminated");
      const { container_id: mine } = await next.view();
      expect((await phases())[mine ?? ""], `round ${round}`).toBe("open");
      last = next;
    }
    expect(await last.view()).toMatchObject({ status: "running", generation: expect.any(Number) });
    const { container_id: mine } = await last.view();
    await expect
      .poll(async () => Object.entries(await phases()).filter(([, phase]) => phase !== "gone"))
      .toEqual([[mine, "open"]]);
    expect(await registry().ledger()).toMatchObject({ used: 1, imbalances: [] });
  });
});
