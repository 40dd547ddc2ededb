/**
 * Many tenants under one global cap, with a network to FleetControl that loses orders, loses answers, and delivers late:
 * what the tenants hold together never passes the cap, and once the network is well control's books are exactly theirs.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type { AllowanceOrder, AllowanceReply } from "../../src/fleet/control/control-api.ts";
import { ControlCore } from "../../src/fleet/control/control-core.ts";
import { AllowanceKeeper } from "../../src/tenant/quota/allowance-keeper.ts";
import { quotaTerms } from "../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { nodeSql } from "../support/node-sql.ts";
import { born, lease, order, report, sessionId } from "../support/reports.ts";

const tenantCap = 4;
const tenants = ["a", "b", "c"];
/** In the second so much is free at first that tenants keep what they do not use. */
const worlds = [
  { limit: 6, tenantCap },
  { limit: 506, tenantCap: 30 },
] as const;

let time = born;
/** Time passes by steps alone: a call that never answers is one that is lost, and says so. */
const clock = {
  now: () => time,
  sleep: (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve())),
};

const step = fc.record({
  kind: fc.constantFrom("reserve", "burst", "give back", "end", "settle", "restart", "deliver late", "time passes"),
  tenant: fc.nat(tenants.length - 1),
  fate: fc.constantFrom("well", "well", "order lost", "answer lost", "order late"),
});

class World {
  readonly control: ControlCore;
  readonly late: AllowanceOrder[] = [];
  fate = "well";
  readonly tenants;

  constructor(limit: number, tenantCap: number) {
    this.control = new ControlCore(nodeSql(), clock, { maxSandboxes: limit });
    this.tenants = tenants.map((name) => {
      const core = new TenantCore(nodeSql(), clock, quotaTerms(defaultPolicy, tenantCap));
      return { name: name as TenantId, core, keeper: this.#keeper(core, name as TenantId), made: 0, version: 1 };
    });
  }

  #keeper(core: TenantCore, name: TenantId): AllowanceKeeper {
    return new AllowanceKeeper(
      core,
      { allow: (asked) => this.#allow(asked) },
      () => name,
      clock,
      async (write) => write(),
    );
  }

  async #allow(asked: AllowanceOrder): Promise<AllowanceReply> {
    await Promise.resolve();
    if (this.fate === "order lost") throw new Error("lost");
    if (this.fate === "order late") {
      this.late.push(asked);
      throw new Error("late");
    }
    const reply = this.control.allow(asked);
    if (this.fate === "answer lost") throw new Error("answer lost");
    return reply;
  }

  get held(): number {
    return this.tenants.reduce((sum, { core }) => sum + core.ledger().used, 0);
  }

  async take(tenant: World["tenants"][number], kind: string): Promise<void> {
    const { core } = tenant;
    const reserve = () => {
      tenant.made += 1;
      return tenant.keeper.reserve(order(sessionId(`${tenant.name}${tenant.made}x`), 1)).catch(() => null);
    };
    const [open] = core.quota.open(null, 1);
    if (kind === "reserve") await reserve();
    else if (kind === "burst") await Promise.all([reserve(), reserve(), reserve(), reserve(), reserve()]);
    else if (kind === "time passes") time += 25_000;
    else if (kind === "give back" && open !== undefined) core.quota.cancel(open.sessionId, open.generation);
    else if (kind === "end" && open !== undefined) {
      const leases = [lease(open.sessionId, 1, "closed", { generation: open.generation })];
      core.report(report(open.sessionId, ++tenant.version, { status: "terminated", leases }));
    } else if (kind === "settle") await tenant.keeper.settle().catch(() => false);
    // An eviction: what was in memory is gone, what was stored is not.
    else if (kind === "restart") tenant.keeper = this.#keeper(core, tenant.name);
    else if (kind === "deliver late") {
      const asked = this.late.shift();
      if (asked !== undefined) this.control.allow(asked);
    }
  }
}

describe("the global cap under a faulty network", () => {
  it.each(worlds)(
    "of $limit is never passed, and the books agree once the network is well [CAP-5] [CAP-7]",
    async (terms) => {
      const { limit } = terms;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          const world = new World(limit, terms.tenantCap);
          for (const { kind, tenant, fate } of steps) {
            world.fate = fate;
            const who = world.tenants[tenant];
            if (who !== undefined) await world.take(who, kind);
            expect(world.held).toBeLessThanOrEqual(limit);
            expect(world.held).toBeLessThanOrEqual(world.control.capacity().used);
            expect(world.control.capacity().used).toBeLessThanOrEqual(limit);
          }
          world.fate = "well";
          for (const asked of world.late) world.control.allow(asked);
          // What is not used is kept no longer than this.
          time += 60_000;
          for (const { keeper } of world.tenants) expect(await keeper.settle()).toBe(true);
          expect(world.control.capacity().used).toBe(world.held);
          for (const { core } of world.tenants) expect(core.ledger().imbalances).toEqual([]);
          // Nothing leaked: all that the caps let through can be had.
          const room = world.tenants.reduce((sum, { core }) => sum + terms.tenantCap - core.ledger().used, 0);
          const free = Math.min(room, limit - world.held);
          let granted = 0;
          for (const who of world.tenants) {
            for (let i = 0; i < terms.tenantCap; i += 1) {
              who.made += 1;
              const reply = await who.keeper.reserve(order(sessionId(`${who.name}${who.made}x`), 1));
              granted += Number(reply.granted);
            }
          }
          expect(granted).toBe(free);
        }),
        { numRuns: 120 },
      );
    },
    120_000,
  );
});

describe("a reservation that was refused when it was first judged", () => {
  it("is covered like any other when a report frees it before it is written [SIM-4] [CAP-5]", async () => {
    const session = sessionId("ended");
    const control = new ControlCore(nodeSql(), clock, { maxSandboxes: 1 });
    const core = new TenantCore(nodeSql(), clock, quotaTerms(defaultPolicy, tenantCap));
    let beforeWrite = (): void => undefined;
    const keeper = new AllowanceKeeper(
      core,
      { allow: async (asked) => control.allow(asked) },
      () => "a" as TenantId,
      clock,
      async (write) => {
        beforeWrite();
        return write();
      },
    );
    expect(await keeper.reserve(order(sessionId("other"), 1))).toEqual({ granted: true });
    // Told as ended while its record could not be read; then, while the alarm of the write is looked up, as it is.
    core.report(report(session, 1, { status: "terminated" }));
    beforeWrite = () => void core.report(report(session, 2, { status: "running" }));
    expect(await keeper.reserve(order(session, 2))).toMatchObject({ granted: false, code: "capacity_exhausted" });
    expect(core.ledger().used).toBe(1);
  });
});

describe("a tenant that creates often in a fleet with room", () => {
  const rig = (limit: number) => {
    const asked: AllowanceOrder[] = [];
    const control = new ControlCore(nodeSql(), clock, { maxSandboxes: limit });
    const core = new TenantCore(nodeSql(), clock, quotaTerms(defaultPolicy, tenantCap));
    const allow = async (order: AllowanceOrder) => (asked.push(order), control.allow(order));
    const keeper = new AllowanceKeeper(
      core,
      { allow },
      () => "a" as TenantId,
      clock,
      async (write) => write(),
    );
    let made = 0;
    const live = async () => {
      made += 1;
      const id = sessionId(`a${made}x`);
      const reply = await keeper.reserve(order(id, 1));
      core.quota.cancel(id, order(id, 1).generation);
      if (core.allowance.unsettled()) await keeper.settle();
      return reply;
    };
    const versions = () => new Set(asked.map(({ version }) => version)).size;
    return { control, core, keeper, live, versions };
  };

  it("keeps its place for a minute: the next is covered, and control books nothing anew [CAP-5]", async () => {
    const { control, core, keeper, live, versions } = rig(1_000);
    for (let life = 0; life < 8; life += 1) {
      time += 30_000;
      expect(await live()).toEqual({ granted: true });
    }
    expect(versions()).toBe(1);
    expect(control.capacity().used).toBe(1);
    expect(core.allowance.spareUntil()).toBe(time + 60_000);
    time += 60_000;
    expect(core.allowance.unsettled()).toBe(true);
    expect(await keeper.settle()).toBe(true);
    expect([control.capacity().used, core.allowance.spareUntil()]).toEqual([0, null]);
  });

  it("hears of a drain all the same, and gives back at once under a small cap", async () => {
    const roomy = rig(1_000);
    expect(await roomy.live()).toEqual({ granted: true });
    time += 30_000;
    roomy.control.drain({ by: "operator", reason: "the fleet moves" });
    expect(await roomy.live()).toEqual({ granted: false, code: "draining" });
    const small = rig(40);
    for (let life = 0; life < 3; life += 1) await small.live();
    expect([small.versions(), small.control.capacity().used]).toEqual([6, 0]);
  });

  it("keeps nothing once the answer that promised room is old", async () => {
    const { control, live, versions } = rig(1_000);
    await live();
    time += 600_001;
    expect(await live()).toEqual({ granted: true });
    expect([control.capacity().used, versions()]).toEqual([0, 2]);
  });
});
