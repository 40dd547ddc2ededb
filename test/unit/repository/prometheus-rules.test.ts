import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { alertRules } from "../../../src/fleet/alerts/alert-rules.ts";
import { prometheusRules, rulesFile } from "../../../scripts/checks/prometheus-rules.ts";

it("the alert rules for Prometheus are those of the code, and each page that they name is there [FLT-14]", () => {
  const text = readFileSync(rulesFile, "utf8");
  expect(text, "run `node scripts/checks/prometheus-rules.ts`").toBe(prometheusRules());
  for (const { name } of alertRules) expect(text).toContain(`mooring_alert_firing{alert="${name}"}`);
  const page = readFileSync("docs/operations.md", "utf8");
  for (const [, section] of text.matchAll(/operations\.md#([a-z_]+)"/g)) expect(page).toContain(`\n### ${section}\n`);
});
