/** Why a program could not be started, for people: which file, and what is wrong with it. */
import { statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import type { JobFailure } from "../../../src/protocol/job-failure.ts";
import type { RunAs } from "../user/job-user.ts";
import { errnoOf } from "../../proc/errno.ts";

export interface Attempted {
  readonly file: string;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** null: as we do. */
  readonly user: RunAs | null;
}

export function startFailure(error: unknown, attempted: Attempted): JobFailure {
  const code = errnoOf(error);
  const named = JSON.stringify(attempted.file);
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return notFound(named, attempted);
    case "EACCES":
      return {
        code: "command_not_executable",
        message: `${named} cannot be run: it is not executable, or a directory on the way to it is closed to the user of the job.`,
      };
    case "ENOEXEC":
      return {
        code: "command_not_executable",
        message: `${named} is no program and does not name an interpreter in its first line.`,
      };
    case "E2BIG":
      return {
        code: "command_too_long",
        message: "The command line and the environment together are longer than the system allows.",
      };
    case "EPERM":
      return {
        code: "user_unavailable",
        message:
          attempted.user === null
            ? `The system does not permit to start ${named}.`
            : `Jobs cannot run as user ${attempted.user.uid} here.`,
      };
    case "EAGAIN":
    case "ENOMEM":
    case "EMFILE":
    case "ENFILE":
    case "ENOSPC":
    case "EDQUOT":
      return { code: "out_of_resources", message: `The sandbox has no ${lacking[code]} left for it (${code}).` };
    default:
      return { code: "cannot_start", message: `${named} could not be started (${code}).` };
  }
}

const lacking = {
  EAGAIN: "process",
  ENOMEM: "memory",
  EMFILE: "descriptor",
  ENFILE: "descriptor",
  ENOSPC: "disk space",
  EDQUOT: "disk space",
} as const;

/** The kernel says "not found" of the program, of its interpreter and of the directory alike. */
function notFound(named: string, { file, directory, environment }: Attempted): JobFailure {
  if (!isThere(directory))
    return { code: "cwd_not_found", message: "The working directory was removed before the job began." };
  if (placesOf({ file, directory, environment }).some(isThere))
    return {
      code: "command_not_found",
      message: `${named} is there, but the interpreter or loader that it names was not found.`,
    };
  const where = file.includes("/") ? "" : " in PATH";
  return { code: "command_not_found", message: `${named} was not found${where}.` };
}

/** Where the system looks for it, in that order. */
export function placesOf({ file, directory, environment }: Omit<Attempted, "user">): readonly string[] {
  if (file.includes("/")) return [resolve(directory, file)];
  return (environment["PATH"] ?? "").split(delimiter).map((place) => join(resolve(directory, place), file));
}

function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch {
    return false;
  }
}
