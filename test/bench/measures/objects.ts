/** Calls, rows and alarms of API calls and of a whole life, counted in the objects while they work. */
import { setTimeout as pause } from "node:timers/promises";
import { BareWorkerd } from "../bare-workerd.ts";
import { BenchClient } from "../client.ts";
import type { Figure, Measure } from "../figure.ts";
import type { Counts } from "../worker/counts.ts";
import { onMemory } from "./roomy.ts";

/** What goes on after the answer and nobody waits for. */
const background = /\.(report|counts)$/;

export interface Tally {
  readonly rowsWritten: number;
  readonly rowsRead: number;
  readonly alarmsSet: number;
  readonly calls: number;
  readonly wakes: number;
}

/** Over all objects. */
export function total(counts: Counts): Tally {
  const each = Object.values(counts.objects);
  const sum = (of: (one: (typeof each)[number]) => number): number => each.reduce((all, one) => all + of(one), 0);
  return {
    rowsWritten: sum((one) => one.rowsWritten),
    rowsRead: sum((one) => one.rowsRead),
    alarmsSet: sum((one) => one.alarmsSet),
    calls: sum((one) => one.calls),
    wakes: sum((one) => one.alarmsRun + one.calls),
  };
}

export async function takeCounts(url: string): Promise<Counts> {
  return (await (await fetch(`${url}/bench/counts`)).json()) as Counts;
}

function inPath(counts: Counts): number {
  return Object.entries(counts.calls).reduce((sum, [name, count]) => sum + (background.test(name) ? 0 : count), 0);
}

export const calls: Measure = {
  name: "calls",
  async run(say) {
    const workerd = await BareWorkerd.start({ vars: onMemory, counting: true });
    try {
      const client = new BenchClient(workerd.url, await workerd.key("acme"));
      const found: Record<string, number> = {};
      const note = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
        await pause(300);
        await takeCounts(workerd.url);
        const value = await act();
        found[name] = inPath(await takeCounts(workerd.url));
        say(`${name}: ${found[name]}`);
        return value;
      };
      // The first call of a minute also asks for revoked keys; tables are made, and the index is built, on first use.
      await client.create();
      await client.call("GET", "/v1/sessions");
      const session = await note("create", () => client.create());
      const path = `/v1/sessions/${session.id}`;
      await note("get", () => client.call("GET", path));
      await note("list", () => client.call("GET", "/v1/sessions"));
      await note("timeout", () => client.call("POST", `${path}/timeout`, { timeout_seconds: 600 }));
      await note("refresh", () => client.call("POST", `${path}/refresh`, { duration_seconds: 600 }));
      await note("keepalive", () => client.call("POST", `${path}/keepalive`, {}));
      const job = await note("create job", () =>
        client.call<{ readonly id: string }>("POST", `${path}/jobs`, { command: "echo hello" }),
      );
      await note("get job", () => client.call("GET", `${path}/jobs/${job.id}`, undefined, 5));
      await note("events", () => client.call("GET", `${path}/events`));
      await note("delete", () => client.call("DELETE", path));
      await note("teardown", () => client.call("GET", `${path}/teardown`));
      const { create = Number.NaN, ...others } = found;
      return [
        {
          id: "calls.each",
          what: "object calls per API call (the most of any but create)",
          against: "—",
          value: Math.max(...Object.values(others)),
          unit: "calls",
          bar: { type: "at most", value: 1 },
          details: others,
        },
        {
          id: "calls.create",
          what: "object calls of a create that waits for `running`",
          against: "—",
          value: create,
          unit: "calls",
          bar: { type: "at most", value: 3 },
          details: {},
        },
      ];
    } finally {
      await workerd.stop();
    }
  },
};

/** Not faster: renewals that come every few seconds keep their exact distance and set an alarm more (decision 0024). */
const renewSeconds = 10;
const idleSeconds = 60;
const createLooksMs = 4_000;

export const life: Measure = {
  name: "life",
  async run(say) {
    const vars = {
      ...onMemory,
      LEASE_RENEW_SECONDS: String(renewSeconds),
      LEASE_TTL_SECONDS: "60",
      OBSERVE_TIMEOUT_SECONDS: "2",
      ALARM_SLIP_SECONDS: "0",
      JOB_GRACE_SECONDS: "1",
      STOP_GRACE_SECONDS: "2",
    };
    const workerd = await BareWorkerd.start({ vars, counting: true });
    try {
      const client = new BenchClient(workerd.url, await workerd.key("acme"));
      // Makes the tables of the tenant, the shard and the control, which all later lives share.
      const first = await client.create();
      await client.call("DELETE", `/v1/sessions/${first.id}`);
      await client.receipt(first.id);
      await quiet(workerd.url);

      say(`a running session without work, for ${idleSeconds} s`);
      const idle = await client.create({ idle_timeout_seconds: null });
      // What the create left to be looked at is over by then.
      await pause(createLooksMs);
      await takeCounts(workerd.url);
      await pause(idleSeconds * 1_000);
      const renewed = await takeCounts(workerd.url);
      const renewals = idleSeconds / renewSeconds;
      await client.call("DELETE", `/v1/sessions/${idle.id}`);
      await client.receipt(idle.id);
      await quiet(workerd.url);

      say("a whole life: create, three jobs, idle kill, receipt");
      const began = performance.now();
      const session = await client.create({ idle_timeout_seconds: 3, labels: { team: "blue" } });
      for (let job = 0; job < 3; job += 1) await client.job(session.id, "echo hello");
      await client.receipt(session.id);
      const runningSeconds = (performance.now() - began) / 1_000;
      await pause(1_000);
      const lived = await takeCounts(workerd.url);
      const whole = total(lived);
      const livedRenewals = Math.floor(runningSeconds / renewSeconds);
      say(`${whole.rowsWritten} rows, ${whole.alarmsSet} alarms, some ${livedRenewals} renewals`);
      return lifeFigures(renewed, renewals, lived, livedRenewals);
    } finally {
      await workerd.stop();
    }
  },
};

function polls({ calls: made }: Counts): number {
  return made["worker>session.read"] ?? 0;
}

function lifeFigures(renewed: Counts, renewals: number, lived: Counts, livedRenewals: number): readonly Figure[] {
  const whole = total(lived);
  const idle = total(renewed);
  // What the fleet's own watch writes each minute, and a heartbeat to the index, come with time and not with renewals: in the details.
  const own = renewed.objects.session;
  const perRenewal = (own.rowsWritten + own.alarmsSet) / renewals;
  const rows = Object.fromEntries(
    Object.entries(lived.objects).map(([name, one]) => [`${name}_rows_and_alarms`, one.rowsWritten + one.alarmsSet]),
  );
  const calls = Object.fromEntries(
    Object.entries(lived.objects).map(([name, one]) => [
      `calls_of_${name}`,
      one.calls - (name === "session" ? polls(lived) : 0),
    ]),
  );
  return [
    {
      id: "life.rows",
      what: "rows written in a whole life (an alarm set is billed as one), without its renewals",
      against: "—",
      value: Math.max(0, whole.rowsWritten + whole.alarmsSet - Math.round(perRenewal * livedRenewals)),
      unit: "rows",
      bar: { type: "at most", value: 60 },
      // The measure itself asks for the receipt every few ms: no client does.
      details: {
        ...rows,
        renewals: livedRenewals,
        rows_read: whole.rowsRead,
        calls: whole.calls - polls(lived),
        ...calls,
      },
    },
    {
      id: "life.renewal",
      what: "rows that a session writes for each renewal, alarms included",
      against: "—",
      value: perRenewal,
      unit: "rows",
      bar: { type: "at most", value: 2 },
      details: {
        renewals,
        rows_read: idle.rowsRead / renewals,
        rows_of_other_objects_meanwhile: idle.rowsWritten + idle.alarmsSet - own.rowsWritten - own.alarmsSet,
      },
    },
    {
      id: "life.wakes",
      what: "wakes of an idle running session for each renewal, calls included",
      against: "—",
      value: (renewed.objects.session.alarmsRun + renewed.objects.session.calls) / renewals,
      unit: "wakes",
      // The clock of the last one may fall on the edge of the window.
      bar: { type: "at most", value: 1 + 1 / renewals },
      details: { renewals, alarms: renewed.objects.session.alarmsRun },
    },
  ];
}

/** Until nothing was written for a while; what was counted meanwhile is dropped. */
async function quiet(url: string): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    await takeCounts(url);
    await pause(1_500);
    if (total(await takeCounts(url)).rowsWritten === 0) return;
  }
}
