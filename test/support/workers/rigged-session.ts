/**
 * The real SessionObject with a memory world that a test can reach: faults for each call, a clock that can be set ahead, short
 * bounds. Registry and index are the real objects. The module is shared by the Worker and the tests: one isolate.
 *
 * Ids are the test's to choose; each session is one object named by its id, as in production.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { ContainerId, SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import { defaultPolicy, type Policy } from "../../../src/domain/rules/policy.ts";
import type { Env } from "../../../src/config/env.ts";
import type { Call, Fault } from "../../memory/fault-plan.ts";
import { memorySandbox } from "../../memory/memory-sandbox.ts";
import { MemoryWorld } from "../../memory/memory-world.ts";
import type { SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import type { SessionReport, TenantPort } from "../../../src/session/reports/reports.ts";
import type { Caller, SessionApi } from "../../../src/session/session-api.ts";
import { sessionObject } from "../../../src/session/session-object.ts";
import { webSeals } from "../../../src/storage/seals.ts";
import { randomBytes, systemClock, systemIds } from "../../../src/wiring/system.ts";
import type { TenantApi } from "../../../src/tenant/tenant-api.ts";
import { buildWithMemory } from "./composed.ts";
import { wireSession } from "../../../src/wiring/wiring.ts";

let ahead = 3_600_000;

/**
 * Real time, set ahead by an hour and by what tests jumped. Alarms stay with the platform's own clock, which is behind: none fires by
 * itself while a test is slow, each is run by the test.
 */
export const clock: Clock = { now: () => Date.now() + ahead, sleep: (ms, signal) => systemClock.sleep(ms, signal) };

/** Bounds short enough to wait for, in the proportions of the real ones. A call that is answered is answered well within them on a busy machine. */
export const policy: Policy = {
  ...defaultPolicy,
  launchCallMs: 5_000,
  readyWaitMs: 10_000,
  observeMs: 2_500,
  absenceLookGapMs: 10,
  jobGraceMs: 20,
  stopGraceMs: 40,
  stopAttemptMs: 15_000,
};

let sealKeys: readonly string[] = ["the key of the tests, number 1"];
/** What the next life of each session has as ENV_ENCRYPTION_KEY, the newest first. */
export function setSealKeys(...keys: readonly string[]): void {
  sealKeys = keys;
}

const world = new MemoryWorld({ clock: systemClock });
const noFault: Fault = { type: "none" };

export type Fate = (call: Call) => Fault;
const fates = new Map<string, Fate>();
const tenantFates = new Map<string, (call: keyof TenantPort) => Promise<void>>();
const told = new Map<string, SessionReport>();
/** Every call that reached the provider's port, oldest first. */
export const calls: Call[] = [];

export const sandbox = memorySandbox(world, {
  clock: systemClock,
  faults: {
    decide: (call) => {
      calls.push(call);
      return fates.get(call.sessionId ?? call.container ?? "")?.(call) ?? noFault;
    },
  },
});

/** The constructor's own storage, by object id: what a synchronous look at the rows needs. */
const storages = new Map<string, DurableObjectStorage>();

export class RiggedSession extends sessionObject<Env>((bindings) => {
  const wired = wireSession(bindings, buildWithMemory);
  return {
    ...wired,
    policy,
    clock,
    ids: systemIds,
    gitSchemes: ["https", "ssh"],
    defaultNetwork: { mode: "open" },
    logger: { info: () => {}, warn: () => {}, error: () => {} },
    seals: webSeals(sealKeys, randomBytes),
    defaultProvider: "memory",
    providers: { get: (name) => (name === "memory" ? sandbox : null) },
    tenant: (tenant) => disturbed(tenant, registryOf(tenant)),
    index: (tenant) => ({
      report: (report) => {
        told.set(report.sessionId, report);
        return wired.index(tenant).report(report);
      },
      markBlocked: (mark) => wired.index(tenant).markBlocked(mark),
    }),
  };
}) {
  constructor(ctx: DurableObjectState, bindings: Env) {
    super(ctx, bindings);
    storages.set(ctx.id.toString(), ctx.storage);
  }
}

function disturbed(tenant: TenantId, port: TenantPort): TenantPort {
  const fate = (call: keyof TenantPort) => tenantFates.get(tenant)?.(call) ?? Promise.resolve();
  return {
    reserve: async (order) => {
      await fate("reserve");
      return await port.reserve(order);
    },
    cancelReservation: async (session, generation) => {
      await fate("cancelReservation");
      return await port.cancelReservation(session, generation);
    },
    admitPause: async (order) => {
      await fate("admitPause");
      return await port.admitPause(order);
    },
    reserveSnapshot: async (order) => {
      await fate("reserveSnapshot");
      return await port.reserveSnapshot(order);
    },
    settleSnapshot: async (session, taken) => {
      await fate("settleSnapshot");
      return await port.settleSnapshot(session, taken);
    },
    snapshot: async (reference) => {
      await fate("snapshot");
      return await port.snapshot(reference);
    },
    report: async (report) => {
      await fate("report");
      return await port.report(report);
    },
  };
}

/** Names of tenants whose registry ends shared containers in this world (rigged-tenant.ts). */
export const sharingTenant = /^sharing-/;

const bound = env as unknown as {
  readonly RIGGED: DurableObjectNamespace<RiggedSession>;
  readonly TENANTS: DurableObjectNamespace;
  readonly RIGGED_TENANTS: DurableObjectNamespace;
};

export function registryOf(tenant: TenantId): TenantApi {
  const registries = sharingTenant.test(tenant) ? bound.RIGGED_TENANTS : bound.TENANTS;
  const stub: unknown = registries.get(registries.idFromName(tenant));
  return stub as TenantApi;
}

/** What befalls the calls about one shared container. */
export function containerFate(id: ContainerId, fate: Fate | null): void {
  if (fate === null) fates.delete(id);
  else fates.set(id, fate);
}

/**
 * Waits by looking. Never by a promise that is resolved from within an object: whoever awaits it goes on in that object's
 * context, and ends with it when the test ends the object.
 */
export async function seen(look: () => boolean): Promise<void> {
  for (let looks = 0; !look(); looks += 1) {
    if (looks > 60_000) throw new Error("it was never seen");
    await systemClock.sleep(1);
  }
}

let minted = 0;

/** One session of a tenant of its own. */
export class Rigged {
  readonly id: SessionId;
  readonly tenant: TenantId;
  readonly caller: Caller;

  /** `id`: of one that was made over HTTP. */
  constructor(tenant = `t${(minted += 1)}`, id = `rigged${String((minted += 1)).padStart(14, "0")}`) {
    this.id = id as SessionId;
    this.tenant = tenant as TenantId;
    this.caller = { tenant: this.tenant, requestId: "test", scopes: [] };
  }

  get stub() {
    return bound.RIGGED.get(bound.RIGGED.idFromName(this.id));
  }

  /** A fresh stub each time: one that saw an exception is spent. */
  get api(): SessionApi {
    return this.stub;
  }

  get registry(): TenantApi {
    return registryOf(this.tenant);
  }

  create(body: Parameters<SessionApi["create"]>[2] = {}, waitMs = 60_000) {
    return this.api.create(this.id, this.caller, body, null, waitMs);
  }

  fate(fate: Fate | null): void {
    if (fate === null) fates.delete(this.id);
    else fates.set(this.id, fate);
  }

  /** Called before each call to the tenant's registry; may throw or take its time. */
  tenantFate(fate: ((call: keyof TenantPort) => Promise<void>) | null): void {
    if (fate === null) tenantFates.delete(this.tenant);
    else tenantFates.set(this.tenant, fate);
  }

  calls(op: Call["op"]): readonly Call[] {
    return calls.filter((call) => call.sessionId === this.id && call.op === op);
  }

  /** What the index was told last. */
  get told(): SessionReport | undefined {
    return told.get(this.id);
  }

  /** What is alive of it in the world. */
  processes() {
    return world.processes().filter((process) => process.sessionId === this.id);
  }

  /** A synchronous look at its rows, from inside its own context only. */
  rowsNow(statement: string): readonly Record<string, unknown>[] {
    return this.#storage().sql.exec(statement).toArray();
  }

  alarmNow(): Promise<number | null> {
    return this.#storage().getAlarm();
  }

  #storage(): DurableObjectStorage {
    const storage = storages.get(bound.RIGGED.idFromName(this.id).toString());
    if (storage === undefined) throw new Error("it was never constructed");
    return storage;
  }

  rows(statement: string, ...bindings: readonly unknown[]) {
    return this.storage((storage) => storage.sql.exec(statement, ...bindings).toArray());
  }

  alarm(): Promise<number | null> {
    return this.storage((storage) => storage.getAlarm());
  }

  storage<T>(look: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T> {
    return runInDurableObject<RiggedSession, T>(this.stub, (_, state) => look(state.storage));
  }

  /** Runs the alarm now, as the platform would. */
  async wake(): Promise<void> {
    await runDurableObjectAlarm(this.stub);
  }

  /** As its client reads it. */
  async view(): Promise<SessionView> {
    const read = await this.api.get(this.caller);
    if (!read.ok) throw new Error(read.problem.code);
    return read.value.body;
  }

  /** Its alarm, again and again, a second of its clock apart, until it stands like that. Nothing else touches it. */
  async driveTo(status: SessionView["status"], seconds = 120): Promise<SessionView> {
    for (let passed = 0; passed < seconds; passed += 1) {
      // First what is due now, with all the time it takes; only then does the clock move on.
      await this.wake();
      const view = await this.view();
      if (view.status === status) return view;
      setAhead(1_000);
    }
    throw new Error(`still ${(await this.view()).status} after ${seconds} s, not ${status}`);
  }

  /** The incarnation ends without a word, whatever it was doing. */
  async crash(): Promise<void> {
    let ended = false;
    // Its answer may never come: the abort takes it along.
    void runInDurableObject(this.stub, (_, state) => {
      ended = true;
      state.abort("ended by the test");
    }).catch(() => {});
    await seen(() => ended);
    await systemClock.sleep(5);
  }
}

export function setAhead(ms: number): void {
  ahead += ms;
}

export const now = (): number => clock.now();
export { world };
