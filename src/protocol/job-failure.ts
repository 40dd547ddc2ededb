/** Why a job could not be started, in the words of the sandbox that tried. The same on the public wire and on the wrapper's. */
import { z } from "zod";

export const jobFailureCodes = [
  "command_not_found",
  "command_not_executable", // no permission, a directory, or no format that the kernel runs
  "command_too_long", // the command line and the environment together
  "cwd_not_found",
  "cwd_not_a_directory",
  "cwd_outside_workspace",
  "workspace_unavailable", // it is gone, and cannot be made again
  "user_unavailable", // jobs cannot run as the user that they are to run as
  "out_of_resources", // no process, memory, descriptor or disk space is left
  "refused", // the sandbox does not take such a job
  "cannot_start", // anything else
] as const;

export const jobFailure = z.object({
  code: z.enum(jobFailureCodes).describe("What kind of failure it was. Programs decide by it."),
  message: z.string().describe("What is wrong, and of which file or directory."),
});
export type JobFailure = z.infer<typeof jobFailure>;

/** Names of processes that are told; the count is of all. */
export const namesTold = 10;

export const leftRunning = z.object({
  count: z.int().positive().describe("Processes that were there."),
  names: z.array(z.string()).max(namesTold).describe("Names of their programs, each once; at most 10."),
  kept: z.boolean().describe("true: the job had `keep`, so they went on. false: they were ended with the job."),
});
export type LeftRunning = z.infer<typeof leftRunning>;

export const outputGap = z.object({
  from: z.int().nonnegative().describe("Offset of the first byte that was dropped."),
  to: z.int().nonnegative().describe("Offset of the first byte after it that is kept."),
});
export type OutputGap = z.infer<typeof outputGap>;
