/** The fleet: its figures over time, the alerts, what the layers of maintenance did, and the acts on all of it. */
import { useSignal } from "@preact/signals";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { read } from "../data/call.ts";
import { now } from "../data/clock.ts";
import { useLive } from "../data/live.ts";
import { Chip, Command, Figure, For, Reading, When } from "../parts/bits.tsx";
import { FleetActs } from "../parts/fleet-acts.tsx";
import { Page } from "../parts/shell.tsx";
import { Spark } from "../parts/spark.tsx";
import { plain, toneOf } from "../words/states.ts";
import { duration } from "../words/time.ts";
import { Layers, Runs } from "./fleet-maintenance.tsx";

type Stats = AnswerOf<"getStats">;

/** Kept while the console is open, so that the lines go on after a visit to another page. */
const samples: { readonly at: number; readonly stats: Stats }[] = [];
const samplesKept = 180;

export function Fleet() {
  const live = useLive(
    "fleet",
    async (signal) => {
      const [stats, alerts, runs] = await Promise.all([
        read<"getStats">("/v1/admin/stats", signal),
        read<"listAlerts">("/v1/admin/alerts", signal),
        read<"listCleanupRuns">("/v1/admin/cleanup/runs?limit=12", signal),
      ]);
      samples.push({ at: Date.now(), stats });
      if (samples.length > samplesKept) samples.shift();
      return { stats, alerts, runs };
    },
    5_000,
  );
  const { data } = live.state.value;
  const drained = useSignal(0);
  return (
    <Page
      title="Fleet"
      lead="All tenants together."
      command="mooring fleet"
      actions={
        data === null ? undefined : (
          <FleetActs
            draining={data.stats.draining !== null}
            onDone={() => {
              drained.value += 1;
              live.refresh();
            }}
          />
        )
      }
    >
      <Reading of={live.state.value} lines={10} />
      {data !== null && (
        <>
          {data.stats.draining !== null && (
            <div class="note warn">
              <strong>No new sessions are taken</strong>, <For since={data.stats.draining.since} />, by{" "}
              {data.stats.draining.by}: {data.stats.draining.reason}
            </div>
          )}
          <Lines stats={data.stats} />
          <Statuses stats={data.stats} />
          <div class="two">
            <Alerts alerts={data.alerts} />
            <Layers runs={data.runs} />
          </div>
          <Runs runs={data.runs} />
        </>
      )}
    </Page>
  );
}

function Lines({ stats }: { readonly stats: Stats }) {
  const of = (pick: (each: Stats) => number) => samples.map(({ stats: each }) => pick(each));
  const perMinute = (pick: (each: Stats) => number) => {
    const [first, last] = [samples.at(-13) ?? samples[0], samples.at(-1)];
    if (first === undefined || last === undefined || last.at === first.at) return null;
    return ((pick(last.stats) - pick(first.stats)) / (last.at - first.at)) * 60_000;
  };
  const steps = (pick: (each: Stats) => number) =>
    samples.slice(1).map(({ stats: each }, index) => pick(each) - pick(samples[index]?.stats ?? each));
  return (
    <div class="sparks">
      <Spark
        label="Sandboxes booked"
        unit=""
        points={of((each) => each.global.booked)}
        value={stats.global.booked}
        cap={stats.global.limit}
      />
      <Spark
        label="Active"
        unit=""
        points={of((each) => each.active)}
        value={stats.active}
        note={`${stats.provisioning} starting, ${stats.terminating} being ended`}
      />
      <Spark
        label="Created"
        unit="/ min"
        points={steps((each) => each.total_created)}
        value={perMinute((each) => each.total_created)}
        note={`${stats.total_created} ever`}
      />
      <Spark
        label="Gone"
        unit="/ min"
        points={steps((each) => each.total_destroyed)}
        value={perMinute((each) => each.total_destroyed)}
        note={`${stats.total_destroyed} ever, ${stats.asserted} on an operator's word`}
      />
    </div>
  );
}

function Statuses({ stats }: { readonly stats: Stats }) {
  const { timeouts, oldest_running: oldest, cost } = stats;
  return (
    <div class="figures">
      {Object.entries(stats.sessions).map(([status, count]) => (
        <Figure
          key={status}
          label={plain(status)}
          value={count}
          tone={toneOf(status) === "bad" ? "bad" : undefined}
          href={`/console/sessions?status=${status}`}
        />
      ))}
      <Figure
        label="stuck"
        value={stats.stuck}
        tone={stats.stuck > 0 ? "warn" : undefined}
        href="/console/sessions?only=stuck"
      />
      {Object.entries(stats.blocked).map(([code, count]) => (
        <Figure
          key={code}
          label={`blocked: ${plain(code)}`}
          value={count}
          tone="bad"
          href={`/console/sessions?only=${code}`}
        />
      ))}
      {stats.canary.found_after_seconds !== null && (
        <Figure
          label="canary found after"
          value={duration(stats.canary.found_after_seconds * 1_000)}
          tone={stats.canary.missed ? "bad" : undefined}
        />
      )}
      {stats.restore_drill.proven + stats.restore_drill.failed > 0 && (
        <Figure
          label="restores proven"
          value={stats.restore_drill.proven}
          tone={stats.restore_drill.failing.length > 0 ? "bad" : undefined}
        >
          {stats.restore_drill.failed} failed
        </Figure>
      )}
      <Figure label="tenants" value={stats.tenants} href="/console/ledger" />
      <Figure label="timeouts" value={`${timeouts.percent} %`} tone={timeouts.percent > 5 ? "warn" : undefined}>
        of {timeouts.samples} in {timeouts.window_seconds / 60} min
      </Figure>
      {oldest !== null && (
        <Figure
          label="oldest running"
          value={duration(now.value - Date.parse(oldest.created_at))}
          href={`/console/sessions/${oldest.id}`}
        >
          of {oldest.tenant}
        </Figure>
      )}
      {cost !== null && (
        <Figure label="cost per hour" value={Number(cost.per_hour.toPrecision(3))}>
          {cost.currency}
        </Figure>
      )}
    </div>
  );
}

function Alerts({ alerts }: { readonly alerts: AnswerOf<"listAlerts"> }) {
  const firing = alerts.data.filter(({ phase }) => phase !== "clear");
  const clear = alerts.data.filter(({ phase }) => phase === "clear");
  return (
    <section class="card" aria-label="Alerts">
      <header>
        <h2>Alerts</h2>
        <span class="small faint">
          {alerts.looked_at === null ? (
            "never looked"
          ) : (
            <>
              looked <When at={alerts.looked_at} />
              {alerts.stale ? ", which is late" : ""}
            </>
          )}
        </span>
      </header>
      <ul class="lines">
        {firing.map((alert) => (
          <li key={alert.name}>
            <Chip tone={alert.phase === "firing" ? "bad" : "warn"}>{alert.phase}</Chip> <b>{plain(alert.name)}</b>{" "}
            <When at={alert.since} />
            <div class="small">{alert.summary}</div>
            <Command line={alert.cli ?? alert.command} />
          </li>
        ))}
        <li class="small faint">
          {alerts.looked_at === null
            ? "They are judged from the first tenant on."
            : clear.length === 0
              ? "None is clear."
              : `Clear: ${clear.map(({ name }) => plain(name)).join(", ")}.`}
        </li>
      </ul>
    </section>
  );
}
