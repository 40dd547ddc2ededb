/** What a run ends with: fault × count × what happened, then what the run proved in figures, then every breach. */
import Table from "cli-table3";
import { bad, bold, dim, good, say, seconds } from "../../scripts/demo/stage.ts";
import type { Figures } from "./figures.ts";
import type { Journal } from "./journal.ts";
import { fencedMs, stopGraceMs } from "./order.ts";
import type { ChaosResult } from "./run.ts";

export function report(result: ChaosResult, journal: Journal): void {
  const table = new Table({ style: { head: [], border: [], compact: true } });
  table.push([bold("fault"), bold("struck"), bold("what happened to it")]);
  for (const [name, count] of [...journal.faults].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    table.push([name, String(count.struck), [...count.outcomes].map(([what, often]) => `${what} ${often}`).join(", ")]);
  }
  say(table.toString());
  for (const [name, value, verdict] of rows(result)) {
    const mark = verdict === null ? " " : verdict ? good("✓") : bad("✗");
    say(` ${mark} ${name.padEnd(52)} ${value}`);
  }
  if (result.figures !== null) for (const text of figureRows(result.figures)) say(`   ${text}`);
  const answers = [...result.answers].toSorted(([, a], [, b]) => b - a).map(([what, often]) => `${often} ${what}`);
  say(dim(`   answers: ${answers.join(", ")}`));
  if (result.breaches.length === 0) return;
  say(`\n${bad(`${result.breaches.length} promises were broken`)}`);
  for (const breach of result.breaches) say(` ${bad("✗")} ${breach}`);
}

function rows(result: ChaosResult): readonly (readonly [string, string, boolean | null])[] {
  const { afterFaults, blackout, judged, afterAll, books } = result;
  const time = (ms: number | null): string => (ms === null ? "never in time" : seconds(ms));
  return [
    ["rounds, sessions, jobs", `${result.rounds}, ${result.sessions}, ${result.jobs}`, null],
    [
      "after the faults: last process of an ended session",
      time(afterFaults.lastProcessMs),
      afterFaults.lastProcessMs !== null,
    ],
    ["after the faults: last session settled", time(afterFaults.lastReceiptMs), afterFaults.lastReceiptMs !== null],
    ["running at the end, never struck", String(judged.untouchedRunning), null],
    ["sandboxes replaced, told so", String(judged.replaced), null],
    [
      "sandboxes lost (by a hit, or excused by an outage)",
      `${judged.losses} (${judged.losses - judged.excusedLosses}, ${judged.excusedLosses})`,
      null,
    ],
    [
      `control plane killed with ${blackout.processesBefore} processes: none left after`,
      `${time(blackout.zeroAfterMs)} ${dim(`of ${seconds(fencedMs(result.order.ttlMs))} allowed`)}`,
      blackout.zeroAfterMs !== null,
    ],
    ["all deleted: last receipt after", time(afterAll.lastReceiptMs), afterAll.lastReceiptMs !== null],
    ["sessions with a verified receipt", String(judged.receipts), null],
    [
      "ledger: granted = proven + cancelled, in use",
      books === null
        ? "none"
        : `${books.counts.granted} = ${books.counts.proven} + ${books.counts.cancelled}, ${books.used}`,
      books !== null && books.used === 0 && books.breaches.length === 0,
    ],
    ["processes left", String(result.leftovers), result.leftovers === 0],
  ];
}

function figureRows(figures: Figures): readonly string[] {
  const { launchMs } = figures;
  const middle = launchMs[Math.floor(launchMs.length / 2)] ?? 0;
  return [
    `${figures.at} sessions at once: ${figures.running} running after ${seconds(figures.allRunningMs)}; launch to lease ${seconds(middle)} median, ${seconds(launchMs.at(-1) ?? 0)} slowest`,
    `all deleted at once: ${figures.receipts} receipts after ${seconds(figures.allGoneMs)}, ${figures.processesLeft} processes left`,
    `one alone: launch to lease ${figures.aloneLaunchMs === null ? "?" : seconds(figures.aloneLaunchMs)} (to reach 1 s); idle clock firing to verified absence ${figures.idleToAbsentMs === null ? "?" : seconds(figures.idleToAbsentMs)} (to reach ${seconds(stopGraceMs + 3_000)})`,
  ];
}
