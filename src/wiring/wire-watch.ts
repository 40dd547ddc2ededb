/** The watch over the fleet, wired to the real objects. It runs in FleetControl, by that object's alarm. */
import type { Config } from "../config/config.ts";
import { shardStub } from "./durable-backend.ts";
import type { Env } from "../config/env.ts";
import { watchFleet, type WatchedControl, type WatchPorts } from "../fleet/alerts/watch.ts";
import { layerEveryMs } from "../fleet/layers/run-layers.ts";
import { shardNames } from "../fleet/shard/shard-name.ts";
import type { AlertNotice } from "../protocol/resources/operator/alerts.ts";
import { consoleLogger, systemClock } from "./system.ts";

export async function runWatch(env: Env, config: Config, control: WatchedControl): Promise<void> {
  const { policy, tenantMaxSandboxes, alertWebhookUrl, alerts, watchMs } = config;
  const ports: WatchPorts = {
    shards: shardNames(config.fleetShards).map((name) => ({ name, api: shardStub(env, name) })),
    clock: systemClock,
    logger: consoleLogger,
    point: pointWriter(env),
    tell: alertWebhookUrl === null ? null : (notice) => post(alertWebhookUrl, notice),
  };
  await watchFleet(ports, control, {
    alerts: { ...alerts, layerEveryMs },
    stuckAfterMs: policy.stuckAfterMs,
    alarmSlipMs: policy.alarmSlipMs,
    tenantMaxSandboxes,
    everyMs: watchMs,
  });
}

/** The binding is optional: without it nobody keeps the figures but Prometheus. */
function pointWriter(env: Env): WatchPorts["point"] {
  const { ANALYTICS: dataset } = env;
  if (dataset === undefined) return null;
  return ({ indexes, blobs, doubles }) =>
    dataset.writeDataPoint({ indexes: [...indexes], blobs: [...blobs], doubles: [...doubles] });
}

/** Redirects are not followed: the operator names the address, and nobody else does. */
async function post(url: string, notice: AlertNotice): Promise<boolean> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(notice),
    redirect: "manual",
    signal: AbortSignal.timeout(5_000),
  });
  await response.body?.cancel();
  return response.ok;
}
