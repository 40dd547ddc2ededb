/**
 * What the Cloudflare provider asks of `toolbox.js`, a program of the container image: `node toolbox.js <tool> '<order as JSON>'`,
 * and what it answers: one JSON document on standard output. A tool looks, signals or carries files, and ends; it holds
 * nothing, starts no wrapper, and carries no marks of its own (except a courier, which is residue while it works).
 *
 *   look       every live process of one session and generation, by its environment and its parents
 *   stop       TERM, grace, KILL, verified; says what is left of its aim, and who else of that generation is here
 *   resources  what they use
 *   logs       the end of the wrapper's log
 *   pack       serves the workspace as a tar once, on a port, to whoever knows the secret of its order
 *   unpack     takes one likewise
 */
import { z } from "zod";

/** What is aimed at. `instance` null: every instance of that generation, and the session's legacy wrappers. */
const aim = z.strictObject({ session: z.string(), generation: z.int(), instance: z.string().nullable() });

/** `pids`: processes that somebody else says he started; told alive whatever they carry. */
export const lookOrder = z.strictObject({ aim, pids: z.array(z.int()) });

export const toolboxResidue = z.object({
  kind: z.enum(["guardian", "wrapper", "job", "legacy"]),
  instance: z.string().nullable(),
  pid: z.int(),
});
export const lookReport = z.object({ residue: z.array(toolboxResidue), alive: z.array(z.int()) });
export type LookReport = z.infer<typeof lookReport>;

export const stopOrder = z.strictObject({ aim, grace_ms: z.int().nonnegative() });
/** `others`: of the same session and generation, and not aimed at. */
export const stopReport = z.object({ remaining: z.array(toolboxResidue), others: z.array(toolboxResidue) });
export type StopReport = z.infer<typeof stopReport>;

export const resourcesOrder = z.strictObject({ aim, workspace: z.string() });
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
export const courierOrder = z.strictObject({
  /** Both sides prove it as a wrapper and its controller do (protocol/wrapper.ts). */
  secret: z.string().min(32),
  directory: z.string(),
  /** It gives up when nobody has come, or nothing has moved, for so long. */
  patience_ms: z.int().positive(),
});
export type CourierOrder = z.infer<typeof courierOrder>;

/** `GET /sum` of `pack` once the archive was read to its end, and the answer of `PUT /archive` of `unpack`. */
export const courierSum = z.object({ bytes: z.int().nonnegative(), sha256: z.string() });
export type CourierSum = z.infer<typeof courierSum>;

/** Where a courier listens inside the container; a wrapper listens on the one before. */
export const courierPort = 8_701;
export const wrapperPort = 8_700;
