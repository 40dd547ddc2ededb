/** The watch in workerd: FleetControl's own alarm runs it, and arms itself again whatever happens. */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { TenantId } from "../../src/domain/state/ids.ts";
import type { AlertBoard, FleetControlApi } from "../../src/fleet/control/control-api.ts";
import type { Env } from "../../src/config/env.ts";

it("the first tenant arms the watch, which judges every alert and goes on by its own alarm [FLT-13]", async () => {
  const { CONTROL } = env as unknown as Env;
  const stub = CONTROL.get(CONTROL.idFromName("watched-for-the-first-time"));
  const control = stub as unknown as FleetControlApi;
  expect(await runDurableObjectAlarm(stub)).toBe(false);
  await control.allow({ tenant: "watched" as TenantId, version: 1, held: 0, wants: 1 });
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  const stored = await control.document("alert_state", "board");
  const board = JSON.parse(stored?.body ?? "null") as AlertBoard;
  expect(board.alerts.length).toBeGreaterThanOrEqual(12);
  expect(board.alerts.filter((alert) => alert.phase === "firing")).toEqual([]);
  const again = await runInDurableObject(stub, (_object, state) => state.storage.getAlarm());
  expect(again).not.toBeNull();
});
