/**
 * What the Cloudflare provider asks of `toolbox.js`, a program of the container image: `node toolbox.js <tool> '<order as JSON>'`,
 * and what it answers: one JSON document on standard output. A tool looks, signals or carries files, and ends; it holds
 * nothing, starts no wrapper, and carries no marks of its own (except an archive transfer, which is residue while it works).
 *
 *   look       every live process of one session and generation, by its environment and its parents
 *   stop       TERM, grace, KILL, verified; says what is left of its aim, and who else of that generation is here
 *   resources  what they use
 *   logs       the end of the wrapper's log
 *   pack       serves the workspace as a tar once, on a port, to whoever knows the secret of its order
 *   unpack     takes one likewise
 *   space      how much room there is, and whether a write goes through
 *   survey     the workspaces that lie beside each other in a shared container: since when untouched, and what runs of each
 *   vacate     removes one of them, judged once more right before
 *
 * A running container keeps the image that it was started from. So an order for a sandbox that is alone in its container stays as
 * it always was; what is new in an order is there for members of shared containers alone.
 */
import { z } from "zod";

/** What is aimed at. `instance` null: every instance of that generation, and the session's legacy wrappers. */
const aim = z.strictObject({ session: z.string(), generation: z.int(), instance: z.string().nullable() });

/**
 * Of a member of a shared container: whom its jobs run as (null: as everybody), and how long ago it was launched, at least:
 * what cannot be inspected, and is younger, may be of it. Absent: the aim has the container for itself.
 */
const member = z.strictObject({
  user: z.int().nullable(),
  instance: z.string(),
  generation: z.int(),
  age_ms: z.int().nonnegative(),
});
export type ToolMember = z.infer<typeof member>;

/** `pids`: processes that somebody else says he started; told alive whatever they carry. */
export const lookOrder = z.strictObject({ aim, pids: z.array(z.int()), member: member.optional() });

export const toolboxResidue = z.object({
  kind: z.enum(["guardian", "wrapper", "job", "legacy"]),
  instance: z.string().nullable(),
  pid: z.int(),
});
export const lookReport = z.object({ residue: z.array(toolboxResidue), alive: z.array(z.int()) });
export type LookReport = z.infer<typeof lookReport>;

export const stopOrder = z.strictObject({ aim, grace_ms: z.int().nonnegative(), member: member.optional() });
/** `others`: of the same session and generation, and not aimed at. */
export const stopReport = z.object({ remaining: z.array(toolboxResidue), others: z.array(toolboxResidue) });
export type StopReport = z.infer<typeof stopReport>;

export const resourcesOrder = z.strictObject({ aim, workspace: z.string(), member: member.optional() });
export const resourcesReport = z.object({
  processes: z.int(),
  cpu_seconds: z.number(),
  memory_bytes: z.int(),
  disk_used_bytes: z.int().nullable(),
  read_write_syscalls: z.int().nullable(),
});

export const logsOrder = z.strictObject({ state_dir: z.string(), tail_bytes: z.int().nonnegative() });
export const logsReport = z.object({ text: z.string(), last_written_ago_ms: z.int().nullable() });

/**
 * On the standard input of `pack` and `unpack`: the secret must be neither in the environment nor in the arguments. Where they
 * listen is in the environment, as for a wrapper (MOORING_PORT, MOORING_BIND).
 */
export const archiveOrder = z.strictObject({
  /** Both sides prove it as a wrapper and its controller do (protocol/sandbox/wrapper.ts). */
  secret: z.string().min(32),
  directory: z.string(),
  /** It gives up when nobody has come, or nothing has moved, for so long. */
  patience_ms: z.int().positive(),
  /** Of `unpack`, for a member of a shared container: whose the directory and all that is in it will be. */
  owner: z.strictObject({ uid: z.int(), gid: z.int() }).optional(),
});
export type ArchiveOrder = z.infer<typeof archiveOrder>;

/** `GET /sum` of `pack` once the archive was read to its end, and the answer of `PUT /archive` of `unpack`. */
export const archiveSum = z.object({ bytes: z.int().nonnegative(), sha256: z.string() });
export type ArchiveSum = z.infer<typeof archiveSum>;

export const spaceOrder = z.strictObject({ directory: z.string() });
export const spaceReport = z.union([
  z.object({ free_bytes: z.int().nonnegative(), total_bytes: z.int().nonnegative() }),
  z.object({
    refused: z.object({
      code: z.enum(["space_unmeasurable", "filesystem_unusable"]),
      message: z.string(),
    }),
  }),
]);

/** `places`: whose workspaces are known, by name. Any other is told too, with `none`: nobody can say what would run of it. */
export const surveyOrder = z.strictObject({
  directory: z.string(),
  places: z.array(z.strictObject({ name: z.string(), aim, member })),
});
export const surveyReport = z.object({
  workspaces: z.array(
    z.object({
      name: z.string(),
      untouched_ms: z.number().nullable(),
      processes: z.enum(["none", "live", "unknown"]),
    }),
  ),
});
export type SurveyReport = z.infer<typeof surveyReport>;

/** `untouched_for_ms`: null: whenever it was touched. `also`: what else goes with it. */
export const vacateOrder = z.strictObject({
  aim,
  member,
  workspace: z.string(),
  also: z.array(z.string()),
  untouched_for_ms: z.number().nullable(),
});
/** `kept`: why nothing was removed. */
export const vacateReport = z.union([z.object({ freed_bytes: z.int().nonnegative() }), z.object({ kept: z.string() })]);

/**
 * Where a wrapper listens inside the container, and an archive transfer on the next port. The first pair is for a sandbox that has its container for
 * itself; each seat of a shared one has a pair of its own above it. The image exposes them all (Dockerfile).
 */
export const wrapperPort = 8_700;
export const transferPort = 8_701;
/** In one shared container, ended and unremoved members included: several times as many as may be in it at once. */
export const seatCount = 100;

export function seatPorts(seat: number): { readonly wrapper: number; readonly transfer: number } {
  return { wrapper: wrapperPort + 2 * seat, transfer: transferPort + 2 * seat };
}
