/**
 * `node scripts/checks/prometheus-rules.ts`: writes docs/prometheus-rules.yml from the alerts. Mooring judges its alerts itself, with
 * hysteresis; Prometheus only carries them on, and watches what Mooring cannot: that it answers at all.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { alertPage, alertRules } from "../../src/fleet/alerts/alert-rules.ts";
import { repository } from "../repository.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: string;
  readonly summary: string;
  readonly page: string;
}

const outside: readonly Rule[] = [
  {
    alert: "mooring_watch_silent",
    expr: "time() - mooring_watch_last_look_timestamp_seconds > 300",
    for: "0m",
    severity: "critical",
    summary: "Mooring has not judged its alerts for five minutes.",
    page: "docs/operations.md#mooring_watch_silent",
  },
  {
    alert: "mooring_unreachable",
    expr: 'absent(mooring_sandboxes{phase="active"})',
    for: "5m",
    severity: "critical",
    summary: "Mooring has given no metrics for five minutes.",
    page: "docs/operations.md#mooring_unreachable",
  },
];

export function prometheusRules(): string {
  const inside = alertRules.map(({ name, severity, summary }): Rule => {
    const expr = `max(mooring_alert_firing{alert="${name}"}) == 1`;
    return { alert: name, expr, for: "0m", severity, summary, page: alertPage(name) };
  });
  const text = [...inside, ...outside].map((rule) =>
    [
      `      - alert: ${rule.alert}`,
      `        expr: ${quoted(rule.expr)}`,
      `        for: ${rule.for}`,
      `        labels: { severity: ${rule.severity} }`,
      `        annotations:`,
      `          summary: ${JSON.stringify(rule.summary)}`,
      `          page: ${JSON.stringify(rule.page)}`,
    ].join("\n"),
  );
  const head = "# Made by scripts/checks/prometheus-rules.ts from src/fleet/alerts: change it there.";
  return `${head}\ngroups:\n  - name: mooring\n    rules:\n${text.join("\n")}\n`;
}

/** As the formatter of this repository writes it. */
function quoted(text: string): string {
  return text.includes('"') ? `'${text}'` : `"${text}"`;
}

export const rulesFile = join(repository, "docs/prometheus-rules.yml");

if (import.meta.main) writeFileSync(rulesFile, prometheusRules());
