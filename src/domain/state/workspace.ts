/**
 * The workspace that a session asked for, and how far its preparation is. The contents of the steps (commands, addresses, secrets)
 * are not here: the machine knows only their names and results, which may be shown to anybody.
 */
import type { Generation } from "./ids.ts";

export interface StepReport {
  readonly name: string;
  readonly state: "running" | "succeeded" | "failed" | "timed_out";
  /** Epoch ms on our clock. */
  readonly startedAt: number;
  /** null while it runs. */
  readonly endedAt: number | null;
  /** null while it runs, and when a signal ended it. */
  readonly exitCode: number | null;
  /** The sandbox had no space left when it failed. */
  readonly diskFull: boolean;
  /** The end of what it wrote, without the values of its environment. */
  readonly lastOutput: string;
}

export interface Workspace {
  /** The names of its steps, in order. Never empty. */
  readonly planned: readonly string[];
  readonly state: "pending" | "preparing" | "prepared" | "restored" | "failed";
  /** In whose sandbox that is; null before the first. */
  readonly generation: Generation | null;
  /** Those that were begun there, in order; none when it was restored. */
  readonly steps: readonly StepReport[];
}

export function plannedWorkspace(planned: readonly string[]): Workspace | null {
  return planned.length === 0 ? null : { planned, state: "pending", generation: null, steps: [] };
}

/** Merges a new report into what is known. An instant that was told once stays, because each report measures it anew. */
export function withReport(workspace: Workspace, told: readonly StepReport[]): Workspace {
  const steps = told.slice(0, workspace.planned.length).map((step, index): StepReport => {
    const known = workspace.steps[index];
    return {
      ...step,
      startedAt: known?.startedAt ?? step.startedAt,
      endedAt: step.endedAt === null ? null : (known?.endedAt ?? step.endedAt),
    };
  });
  const failed = steps.some((step) => hasFailed(step));
  const done = steps.length === workspace.planned.length && steps.every((step) => step.state === "succeeded");
  return { ...workspace, steps, state: failed ? "failed" : done ? "prepared" : "preparing" };
}

export function hasFailed(step: StepReport): boolean {
  return step.state === "failed" || step.state === "timed_out";
}

/** Why a step failed, for the client: the step, how it ended, what it said last. */
export function stepFailure(step: StepReport, planned: readonly string[]): string {
  const how =
    step.state === "timed_out"
      ? "ran into its time limit and was ended"
      : step.exitCode === null
        ? "was ended by a signal"
        : `ended with exit code ${step.exitCode}`;
  const full = step.diskFull ? " The sandbox's disk is full." : "";
  const said = step.lastOutput.trim();
  const tail = said === "" ? " It wrote nothing." : ` Its last output: ${said}`;
  return `The workspace could not be prepared: step "${step.name}" (${planned.indexOf(step.name) + 1} of ${planned.length}) ${how}.${full}${tail}`;
}
