/**
 * The exit codes of `mooring`. Scripts rely on them: a number never changes its meaning. `docs/cli.md` has the same table.
 *
 * `run` is the exception: it exits with the code of the command that it ran, and with `notRun` when Mooring
 * could not run it or does not know how it ended.
 */
export const exitCodes = {
  done: 0,
  /** A failure that has no number of its own. */
  failed: 1,
  /** The command line is wrong. Nothing was done. */
  usage: 2,
  /** No key or token, or one that Mooring does not accept. */
  unauthorized: 3,
  /** There is no such thing, or it belongs to another tenant. */
  notFound: 4,
  /** Mooring refused, and will refuse the same request again until something changes. */
  refused: 5,
  /** Mooring cannot do it now. The same command may succeed later. */
  later: 6,
  /** Mooring did not answer. */
  unreachable: 7,
  /** A check found something: `doctor`, `verify`, `audit plan`, an end that is not proven. */
  found: 8,
  /** `run`: the command was ended by its time limit. */
  timedOut: 124,
  /** `run`: the command was not run, or how it ended is not known. */
  notRun: 125,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
