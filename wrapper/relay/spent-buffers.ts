/**
 * Keeps what passes through a process from staying in its memory.
 *
 * A buffer that was sent on is garbage at once. But V8 counts only its small handle: some hundred buffers of 64 kB are left before a
 * young generation of 1 MB is full, and then as many in each process on the way. So those who pass bytes on ask for a young collection
 * themselves. It takes a fraction of a millisecond, since next to nothing lives, and less time in all than the full collections that
 * V8 would start on account of the buffers.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: { readonly type: "minor"; readonly execution: "sync" }) => void;

const collectEveryBytes = 2_000_000;
let spent = 0;
let collect: Collect | undefined;

export function spentBuffer(bytes: number): void {
  spent += bytes;
  if (spent < collectEveryBytes) return;
  spent = 0;
  collect ??= collector();
  collect({ type: "minor", execution: "sync" });
}

/** Not as a flag of the command line: with one, Node does not use what it has compiled of itself, and starts more slowly. */
function collector(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}
