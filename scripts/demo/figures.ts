/** The measured figures of one run beside what was to be reached. Shown, not asserted: a busy machine is no broken promise. */
import type { Weight } from "./processes.ts";
import { bad, dim, good, seconds } from "./stage.ts";

export interface Figures {
  readonly launchToHealthyMs: number;
  readonly wrapperAndGuardian: Weight;
  readonly idleToAbsentMs: number;
  readonly stopGraceMs: number;
}

export function figureLines(figures: Figures): readonly string[] {
  const { launchToHealthyMs, wrapperAndGuardian, idleToAbsentMs, stopGraceMs } = figures;
  const weight = wrapperAndGuardian;
  return [
    row("launch → healthy", seconds(launchToHealthyMs), launchToHealthyMs <= 1_000, "to reach 1 s"),
    row(
      "idle deadline → verified absence",
      seconds(idleToAbsentMs),
      idleToAbsentMs <= stopGraceMs + 3_000,
      `to reach ${seconds(stopGraceMs + 3_000)}: stop grace + 3 s`,
    ),
    row(
      "wrapper and guardian, idle",
      megabytes(weight.resident),
      weight.resident <= 110e6,
      `to reach 110 MB resident; ${megabytes(weight.own)} is their own, the rest the Node they share`,
    ),
  ];
}

function row(name: string, value: string, reached: boolean, bound: string): string {
  return `   ${reached ? good("✓") : bad("✗")} ${name.padEnd(34)} ${value.padStart(8)}   ${dim(bound)}`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
