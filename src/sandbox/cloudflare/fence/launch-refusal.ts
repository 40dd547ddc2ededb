/**
 * Why a launch may not start anything now: its sandbox id or its shared container is retired, another instance is armed, or the
 * launch is late. Asked again at every step of a launch.
 */
import { failed, type ProviderResult } from "../../../domain/state/failure.ts";
import type { LaunchOrder } from "../../agent-sandbox.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";

export type LaunchRefused = Extract<ProviderResult<never>, { ok: false }>;

/** null: the launch may go on. */
export function launchRefusal(
  order: LaunchOrder,
  { records, clock }: Pick<FenceDependencies, "records" | "clock">,
): LaunchRefused | null {
  const { armed, retiredThrough } = records.sandbox(order.sandboxId);
  if (records.erasedAt !== null || (retiredThrough !== null && order.generation <= retiredThrough)) {
    return failed(
      "refused_retired",
      `Sandbox ${order.sandboxId} is retired: it was ended or replaced before this launch came. Nothing was started.`,
      "none",
    );
  }
  if (records.roster.retired)
    return failed(
      "refused_retired",
      "The shared container is retired and takes no new member, so nothing was started.",
      "none",
    );
  if (armed !== null && (armed.instanceId !== order.instanceId || armed.generation !== order.generation)) {
    const whom = `instance ${armed.instanceId} of generation ${armed.generation}`;
    return failed(
      "foreign_instance",
      `Sandbox ${order.sandboxId} serves ${whom}, so nothing was started. That instance has to end first.`,
      "none",
    );
  }
  if (armed?.ready !== true && clock.now() > order.launchNotAfter) {
    const lateMs = clock.now() - order.launchNotAfter;
    return failed(
      "refused_late",
      `The launch came ${lateMs} ms after the end of its time, so nothing was started.`,
      "none",
    );
  }
  return null;
}
