/** How every alert stands, as the watch left it at its last look. */
import type { AlertBoard, AlertStanding } from "../../../fleet/control/control-api.ts";
import type { AlertsView, AlertView } from "../../../protocol/resources/operator/alerts.ts";
import { adminContracts } from "../../../protocol/contracts/operator/admin-contracts.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { askControl } from "../../admin-act.ts";
import { type AdminContext, json, type Route } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";

/** Looks that may be missed before what they left is called old. */
const lateLooks = 3;
const order = ["firing", "pending", "clear"] as const;

async function list(context: AdminContext): Promise<Made> {
  const reply = await askControl(context, (control) => control.document("alert_state", "board"));
  if (!reply.ok) return reply;
  const board = reply.value === null ? null : (JSON.parse(reply.value.body) as AlertBoard);
  return json(200, viewOf(board, context.clock.now()));
}

function viewOf(board: AlertBoard | null, now: number): AlertsView {
  if (board === null) return { looked_at: null, stale: false, data: [] };
  return {
    looked_at: rfc3339(board.lookedAt),
    stale: now - board.lookedAt > lateLooks * board.everyMs,
    data: board.alerts
      .map(alertView)
      .toSorted((a, b) => order.indexOf(a.phase) - order.indexOf(b.phase) || a.name.localeCompare(b.name)),
  };
}

function alertView({ since, context, untold, cli, ...rest }: AlertStanding): AlertView {
  return { ...rest, cli: cli ?? null, since: rfc3339(since), context: { ...context }, undelivered: untold };
}

export const alertRoutes: readonly Route[] = [serve(adminContracts.alerts, list)];
