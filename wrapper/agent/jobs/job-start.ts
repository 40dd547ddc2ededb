/** With which command line a job is started: through the program that lays down every capability, wherever that changes nothing else. */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { JobPlan } from "./job-plan.ts";
import type { RunAs } from "../user/job-user.ts";
import { placesOf } from "./start-failure.ts";

export interface JobStart {
  readonly file: string;
  readonly args: readonly string[];
  /** Empty: the command line itself becomes the user. */
  readonly as: Partial<RunAs>;
}

export function startOf(plan: JobPlan, directory: string): JobStart {
  const { file, args, user, apart, environment } = plan;
  if (user === null) return { file, args, as: {} };
  const [first, ...rest] = apart ?? [];
  // A program that cannot be run is started plainly: the system then says what is wrong with it.
  if (first === undefined || !placesOf({ file, directory, environment }).some((path) => isRunnable(path, user)))
    return { file, args, as: { uid: user.uid, gid: user.gid } };
  return { file: first, args: [...rest, file, ...args], as: {} };
}

const elf = "\x7fELF";

function isRunnable(path: string, user: RunAs): boolean {
  try {
    if (!statSync(path).isFile() || !mayExecute(path, user) || !isOpenWay(path, user)) return false;
    const head = headOf(path);
    if (head.startsWith(elf)) return true;
    const interpreter = /^#!\s*(\S+)/.exec(head)?.[1];
    return interpreter !== undefined && mayExecute(interpreter, user);
  } catch {
    return false;
  }
}

function isOpenWay(path: string, user: RunAs): boolean {
  const above = dirname(path);
  return above === path || (mayExecute(above, user) && isOpenWay(above, user));
}

/** Without supplementary groups, as jobs run. */
function mayExecute(path: string, { uid, gid }: RunAs): boolean {
  const stats = statSync(path);
  const bit = stats.uid === uid ? 0o100 : stats.gid === gid ? 0o010 : 0o001;
  return (stats.mode & bit) !== 0;
}

function headOf(path: string): string {
  const bytes = Buffer.alloc(256);
  const descriptor = openSync(path, "r");
  try {
    return bytes.toString("latin1", 0, readSync(descriptor, bytes));
  } finally {
    closeSync(descriptor);
  }
}
