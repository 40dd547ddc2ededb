/** Whether there is room, with the numbers when there is not. */
import { Refusal } from "./refusal.ts";
import type { StateDirectory } from "./state-directory.ts";

/** Below this a job could not even write its log. */
const leastFreeBytes = 16 * 1024 * 1024;

/** `quotaBytes`: what all sandboxes and snapshots may take together; null: what the disk has. */
export async function refuseWithoutSpace(
  state: StateDirectory,
  quotaBytes: number | null,
  neededBytes: number,
): Promise<void> {
  const free = state.freeBytes();
  const needed = leastFreeBytes + neededBytes;
  if (free < needed) throw new Refusal("insufficient_space", `${free} bytes free on the disk; ${needed} needed.`);
  if (quotaBytes === null) return;
  const used = await state.diskUse(null);
  if (used + neededBytes < quotaBytes) return;
  const more = neededBytes === 0 ? "" : `, ${neededBytes} more are needed`;
  throw new Refusal("insufficient_space", `${used} bytes of a quota of ${quotaBytes} are used${more}.`);
}
