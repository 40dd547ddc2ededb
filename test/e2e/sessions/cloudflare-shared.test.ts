/** Two sessions in one shared container on Cloudflare, from create to receipt: real session and registry code over the stand-in. */
import { webTrafficKeys } from "../../../src/protocol/sandbox/traffic.ts";
import { afterEach, expect, it } from "vitest";
import type { TenantId } from "../../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import { providerTimers } from "../../../src/sandbox/provider-timers.ts";
import { ArmedAlarm } from "../../../src/session/armed-alarm.ts";
import { SessionCommands } from "../../../src/session/commands/commands.ts";
import type { Caller } from "../../../src/session/session-api.ts";
import { Trace } from "../../../src/session/trace.ts";
import { ContainerKeeper } from "../../../src/tenant/containers/container-keeper.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { CloudflareWorld } from "../../contract/cloudflare-harness.ts";
import { instantSeals } from "../../support/instant-seals.ts";
import { nodeSql } from "../../support/node-sql.ts";
import { pidsWith } from "../../support/processes.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";
import { until } from "../../support/until.ts";
import { snapshotPort } from "../../support/snapshot-port.ts";

const { stopGraceMs } = providerTimers["sandbox-sdk"];
const policy = { ...defaultPolicy, stopGraceMs, jobGraceMs: 1_000 };
const caller: Caller = { tenant: "acme" as TenantId, requestId: "test", scopes: [] };
const logger = { info: () => {}, warn: () => {}, error: () => {} };

class Fleet {
  readonly world = new CloudflareWorld();
  readonly registry = new TenantCore(nodeSql(), systemClock, quotaTerms(policy, 10));
  readonly providers = { get: (name: string) => (name === "sandbox-sdk" ? this.world.provider : null) };
  readonly keeper = new ContainerKeeper(
    {
      poke: () => Promise.resolve(),
      clock: systemClock,
      ids: systemIds,
      logger,
      providers: this.providers,
      policy,
    },
    this.registry,
    (write) => Promise.resolve(write()),
  );
  readonly #alarms = new Set<NodeJS.Timeout>();

  session(): SessionCommands {
    let timer: NodeJS.Timeout | undefined;
    const clear = (): void => {
      clearTimeout(timer);
      if (timer !== undefined) this.#alarms.delete(timer);
    };
    const fire = (): void => {
      alarm.fired();
      void commands.engine.wake("alarm");
    };
    const set = (at: number): void => {
      clear();
      timer = setTimeout(fire, Math.max(0, at - Date.now()));
      this.#alarms.add(timer);
    };
    const alarm = new ArmedAlarm({ get: () => Promise.resolve(null), set, clear }, systemClock);
    const commands = new SessionCommands({
      sql: nodeSql(),
      seals: instantSeals(),
      trace: new Trace({ secret: () => "0".repeat(64) }),
      clock: systemClock,
      ids: systemIds,
      logger,
      policy,
      providers: this.providers,
      defaultProvider: "sandbox-sdk",
      gitSchemes: ["https"],
      trafficKeys: webTrafficKeys,
      defaultNetwork: { mode: "open" },
      tenant: () => ({
        reserve: (order) => Promise.resolve(this.registry.quota.reserve(order)),
        cancelReservation: (session, generation) => Promise.resolve(this.registry.quota.cancel(session, generation)),
        admitPause: (order) => Promise.resolve(this.registry.quota.admitPause(order)),
        ...snapshotPort(() => this.registry),
        report: (report) => Promise.resolve(this.registry.report(report)),
      }),
      index: () => ({
        report: ({ version }) => Promise.resolve({ version }),
        markBlocked: () => Promise.resolve(),
      }),
      alarm,
      eraseStorage: () => Promise.resolve(),
    });
    return commands;
  }

  async close(): Promise<void> {
    for (const alarm of this.#alarms) clearTimeout(alarm);
    await this.world.close();
  }
}

let fleet: Fleet | null = null;
afterEach(async () => {
  await fleet?.close();
  fleet = null;
});

it("two sessions are members of one container, work, end one by one, each with its own receipt, and the container goes after the last [CAP-10] [DEL-7] [PHY-14]", async () => {
  const running = (fleet = new Fleet());
  const { world, registry, keeper } = running;
  const ids = [world.sessionId(), world.sessionId()];
  const sessions = ids.map(() => running.session());
  const view = async (of: SessionCommands) => {
    const read = await of.get(caller);
    if (!read.ok) throw new Error(read.problem.detail);
    return read.value.body;
  };
  for (const [index, session] of sessions.entries()) {
    const created = await session.create(ids[index]!, caller, { isolation: "shared" }, null, 30_000);
    expect(created).toMatchObject({ ok: true });
    await until("it runs", async () => (await view(session)).status === "running");
  }
  const views = await Promise.all(sessions.map(view));
  expect(views.map(({ status }) => status)).toEqual(["running", "running"]);
  const [container] = views.map(({ container_id: id }) => id);
  expect(views.map(({ container_id: id }) => id)).toEqual([container, container]);
  expect(world.account.object(container!).container.starts).toBe(1);

  const [first, second] = sessions as [SessionCommands, SessionCommands];
  await first.delete(caller, "requested");
  await until("the first to be proven gone", async () => (await view(first)).status === "terminated");
  const receipt = (await view(first)).teardown;
  expect(receipt?.evidence).toContain(
    process.getuid?.() === 0 ? "a user that nobody else had" : "environment and lineage",
  );
  expect((await view(second)).status).toBe("running");
  expect(pidsWith(`MOORING_SESSION_ID=${ids[0]}`)).toEqual([]);
  expect(pidsWith(`MOORING_SESSION_ID=${ids[1]}`)).toHaveLength(2);
  await keeper.work();
  expect(world.account.object(container!).container.runs).toBe(true);

  await second.delete(caller, "requested");
  await until("the second to be proven gone", async () => (await view(second)).status === "terminated");
  await until("the container to be proven gone", async () => {
    await keeper.work();
    return registry.containers.containers(null, 10).every(({ container: each }) => each.phase === "gone");
  });
  const [gone] = registry.containers.containers(null, 10);
  expect(gone?.container).toMatchObject({ id: container, phase: "gone", reason: "empty" });
  expect(world.account.object(container!).container.runs).toBe(false);
  expect(world.account.object(container!).container.pids()).toEqual([]);
});
