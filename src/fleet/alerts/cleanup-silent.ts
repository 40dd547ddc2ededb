/** A layer of maintenance that did not run when it was due: the cron, or the whole Worker, is not there. */
import type { AlertRule } from "./alert.ts";

const intervals = 2;
/** A tick may come late by itself. */
const slackMs = 60_000;

export const cleanupSilent: AlertRule = {
  name: "cleanup_silent",
  severity: "critical",
  summary: "A layer of maintenance has not run for two intervals.",
  command: `curl -sS -H "Authorization: Bearer $ADMIN_TOKEN" "$MOORING_URL/v1/admin/cleanup/runs"`,
  fireAfterMs: () => 0,
  judge({ layers, at, watchedSince }, { layerEveryMs }) {
    const silent = Object.entries(layerEveryMs).flatMap(([layer, everyMs]) => {
      const last = layers.find((each) => each.layer === layer)?.lastStartedAt ?? watchedSince;
      const silentMs = at - Math.max(last, watchedSince);
      return silentMs > intervals * everyMs + slackMs ? [{ layer, silentMs }] : [];
    });
    if (silent.length === 0) return { type: "well" };
    const seconds = Math.round(Math.max(...silent.map(({ silentMs }) => silentMs)) / 1_000);
    return { type: "bad", context: { layers: silent.map(({ layer }) => layer).join(" "), silent_seconds: seconds } };
  },
};
