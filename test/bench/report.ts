/** The table of a run: for the terminal, for docs/bench.md, and as data for docs/bench.json. */
import { styleText } from "node:util";
import Table from "cli-table3";
import { bills, type Counted, leakPerDay, shape } from "./cost/bill.ts";
import { prices, standard1 } from "./cost/prices.ts";
import { type FailedMeasure, type Figure, met, rounded } from "./figure.ts";
import { reasonOf } from "./reasons.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string;
  readonly date: string;
}

export interface Run {
  readonly machine: Machine;
  readonly figures: readonly Figure[];
  readonly failed: readonly FailedMeasure[];
  /** Measures whose figures are of a later run than the rest. */
  readonly again?: readonly Again[];
}

export interface Again {
  /** Of the measure. */
  readonly name: string;
  readonly commit: string;
  readonly date: string;
}

/** `run` with what a later run of some measures found in the place of theirs. A measure that failed in the later run changes nothing. */
export function withAgain(run: Run, later: Run, measured: readonly string[]): Run {
  const lost = new Set(later.failed.map(({ name }) => name));
  const names = measured.filter((name) => !lost.has(name));
  const found = new Map(later.figures.map((figure) => [figure.id, figure]));
  const known = new Set(run.figures.map(({ id }) => id));
  const { commit, date } = later.machine;
  return {
    machine: run.machine,
    figures: [
      ...run.figures.map((figure) => found.get(figure.id) ?? figure),
      ...later.figures.filter(({ id }) => !known.has(id)),
    ],
    failed: run.failed.filter(({ name }) => !names.includes(name)),
    again: [
      ...(run.again ?? []).filter(({ name }) => !names.includes(name)),
      ...names.map((name) => ({ name, commit, date })),
    ],
  };
}

const shown = (figure: Figure): string => `${rounded(figure.value)} ${figure.unit}`;
const bar = ({ bar: { type, value }, unit }: Figure): string =>
  `${type === "at most" ? "≤" : "≥"} ${rounded(value)} ${unit}`;

export function terminalTable(figures: readonly Figure[]): string {
  const table = new Table({
    head: ["what", "against", "measured", "bar", ""],
    colWidths: [52, 34, 18, 18, 3],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const figure of figures) {
    const ok = met(figure);
    const colour = (text: string): string => styleText(ok ? "green" : "red", text);
    table.push([figure.what, figure.against, colour(shown(figure)), bar(figure), colour(ok ? "✓" : "✗")]);
  }
  return table.toString();
}

/** What the bill is made of; null when a run left it out. */
export function countedFrom(figures: readonly Figure[]): Counted | null {
  const find = (id: string): Figure | undefined => figures.find((figure) => figure.id === id);
  const [rows, renewal, wakes] = [find("life.rows"), find("life.renewal"), find("life.wakes")];
  if (rows === undefined || renewal === undefined || wakes === undefined) return null;
  return {
    rowsWrittenPerLife: rows.value,
    rowsReadPerLife: Number(rows.details["rows_read"]),
    objectRequestsPerLife: Number(rows.details["calls"]),
    rowsWrittenPerRenewal: renewal.value,
    rowsReadPerRenewal: Number(renewal.details["rows_read"]),
    wakesPerRenewal: wakes.value,
  };
}

const dollars = (value: number): string => `$${value.toFixed(2)}`;

export function markdown({ machine, figures, failed, again = [] }: Run): string {
  const missed = figures.filter((figure) => !met(figure));
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    "# Speed and cost, measured",
    "",
    "Written by `npm run bench`; do not edit. Every figure is a ratio or a count; both sides of a ratio are of one run. What was found on the",
    "way is in [performance.md](performance.md); what follows for a large fleet in [scale.md](scale.md). Why a bar is missed is said below the table.",
    "",
    `${machine.date}, commit \`${machine.commit}\`, ${machine.cores} cores (${machine.cpu}), ${machine.memoryGib} GiB; ${versions.join(", ")}.`,
    ...again.map(({ name, commit, date }) => `Measured again: \`${name}\`, ${date}, commit \`${commit}\`.`),
    "",
    `**${figures.length - missed.length} of ${figures.length} bars met.**${failed.length > 0 ? ` ${failed.length} not measured.` : ""}`,
    "",
    "| | what | against | measured | bar |",
    "|---|---|---|---:|---:|",
    ...figures.map(
      (figure) =>
        `| ${met(figure) ? "🟢" : "🔴"} | ${figure.what} | ${figure.against} | ${shown(figure)} | ${bar(figure)} |`,
    ),
    ...failed.map(({ name, why }) => `| ⚫ | the measure \`${name}\` failed: ${inCell(why)} | — | not measured | — |`),
    "",
    ...missedSection(missed),
    "## What the figures are made of",
    "",
    "| figure | |",
    "|---|---|",
    ...figures.map((figure) => `| \`${figure.id}\` | ${details(figure)} |`),
    "",
    ...costSection(figures),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

function missedSection(missed: readonly Figure[]): readonly string[] {
  if (missed.length === 0) return [];
  return [
    "## What is missed, by how much and why",
    "",
    "| figure | measured | bar | beyond it | why |",
    "|---|---:|---:|---:|---|",
    ...missed.map(
      (figure) =>
        `| \`${figure.id}\` | ${shown(figure)} | ${bar(figure)} | ${beyond(figure)} | ${reasonOf(figure) ?? "not found yet"} |`,
    ),
    "",
  ];
}

/** By how much the bar is missed: a share of the bar, or the amount where the bar is 0. */
function beyond({ value, bar: { value: limit }, unit }: Figure): string {
  if (limit === 0) return `${rounded(value)} ${unit}`;
  const share = Math.round((value / limit - 1) * 100);
  return share > 100 ? `${rounded(value / limit)} times` : `${share > 0 ? "+" : "−"}${Math.abs(share)} %`;
}

/** One line without what ends a table's cell. */
function inCell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").slice(0, 300);
}

function details({ details: all }: Figure): string {
  const parts = Object.entries(all).map(
    ([name, value]) => `${name} ${typeof value === "number" ? rounded(value) : value}`,
  );
  return parts.length === 0 ? "counted" : parts.join(", ");
}

function costSection(figures: readonly Figure[]): readonly string[] {
  const counted = countedFrom(figures);
  if (counted === null) return [];
  const all = bills(counted);
  const names = ["containers", "sandbox objects", "object time", "rows", "requests"] as const;
  const leak = leakPerDay();
  const minutes = (seconds: number): string => `${seconds / 60} min`;
  return [
    "## Cost",
    "",
    `1,000 sessions of this shape: ${minutes(shape.workSeconds)} of work at ${shape.cpuShare * 100} % of a vCPU, then idle until killed after`,
    `${minutes(shape.idleSeconds)}, ${shape.requests} requests, a ${standard1.name} container (${standard1.memoryGib} GiB, ${standard1.diskGb} GB disk). Cloudflare's public prices of`,
    `${prices.readOn}, beyond what the plan includes. Calls, rows and wakes are the counted ones above; the wall time of a call`,
    `(${shape.objectSecondsPerRequest * 1_000} ms) and the share that leaks in a design that never looks (${shape.leakedShare * 100} %, found after a day) are assumptions.`,
    "",
    `| design | ${names.join(" | ")} | **total** |`,
    "|---|---:|---:|---:|---:|---:|---:|",
    ...all.map(
      ({ design, lines, total }) =>
        `| ${design} | ${names.map((name) => dollars(lines[name])).join(" | ")} | **${dollars(total)}** |`,
    ),
    "",
    "```mermaid",
    "xychart-beta",
    '  title "What running 1,000 sessions costs beside their containers, US dollars"',
    `  x-axis [${all.map(({ design }) => `"${design.split(",")[0]}"`).join(", ")}]`,
    '  y-axis "US dollars"',
    `  bar [${all.map(({ total }) => (total - (all[0]?.lines.containers ?? 0)).toFixed(2)).join(", ")}]`,
    "```",
    "",
    `A ${standard1.name} container that nobody stops costs ${dollars(leak.idle)} a day idle and ${dollars(leak.busy)} with its CPU busy, its Sandbox object`,
    "included. One in a hundred leaking for a day costs more than everything that Mooring does to prevent it.",
  ];
}
