/** `/metrics` for Prometheus, with the admin token: two calls to each shard and five to control. One that is silent: 503. */
import type { AlertBoard } from "../../../fleet/control/control-api.ts";
import { serviceContracts } from "../../../protocol/contracts/service/service-contracts.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { ask } from "../../backend.ts";
import { probesView } from "../../answer/probes-view.ts";
import { type FleetFigures, metricsText, metricsType } from "../../answer/metrics.ts";
import { refused } from "../../answer/problem.ts";
import type { AdminContext, Route } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";

async function metrics(context: AdminContext): Promise<Made> {
  const reply = await ask("read", context.log, async (): Promise<Reply<FleetFigures>> => {
    const { backend } = context;
    const control = backend.control();
    const [stats, outcomes, capacity, layers, board, canary, drills] = await Promise.all([
      Promise.all(backend.shards().map(({ api }) => api.stats())),
      Promise.all(backend.shards().map(({ api }) => api.outcomes(null))),
      control.capacity(),
      control.layers(),
      control.document("alert_state", "board"),
      control.document("probe", "canary"),
      control.document("probe", "restore_drill"),
    ]);
    const parsed = board === null ? null : (JSON.parse(board.body) as AlertBoard);
    return {
      ok: true,
      value: {
        stats,
        outcomes,
        capacity,
        layers,
        board: parsed,
        probes: probesView(canary, drills, context.clock.now()),
      },
    };
  });
  if (reply.ok) return new Response(metricsText(reply.value), { headers: { "content-type": metricsType } });
  return refused({
    ...reply.problem,
    detail:
      "A part of the fleet did not answer, so there are no metrics: half of them would be wrong. Try again in a moment.",
  });
}

export const metricsRoutes: readonly Route[] = [serve(serviceContracts.metrics, metrics)];
