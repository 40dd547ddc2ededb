/**
 * A session's workspace on the wire: what a client asks for, what a wrapper is told to run, and what it tells of it.
 *
 * Where the files come from, and every value of `env`, may be a secret: addresses are shown nowhere, steps are told by
 * their names, and their output without those values (redaction.ts).
 */
import { z } from "zod";
import { environment, limits } from "../primitives.ts";
import { toBase64 } from "../bytes.ts";

export const gitSchemes = ["https", "ssh", "http", "file"] as const;
export type GitScheme = (typeof gitSchemes)[number];
/** What a deployment fetches from unless it says otherwise: nothing that travels in plain, nothing of the sandbox's own disk. */
export const safeGitSchemes: readonly GitScheme[] = ["https", "ssh"];

const maxSetupCommands = 20;
const lastOutputChars = 4_096;

const gitUrl = z
  .string()
  .max(2_048, "At most 2048 characters.")
  .superRefine((text, context) => {
    const wrong = wrongUrl(text);
    if (wrong !== null) context.addIssue({ code: "custom", message: wrong });
  });

/** A branch, a tag or a full commit id. Nothing that git would read as an option, a range or a refspec. */
const gitRef = z
  .string()
  .max(255, "At most 255 characters.")
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._/+-]*$/, "A branch, a tag or a full commit id; it cannot begin with a hyphen.")
  .refine((text) => !/\.\.|\/\/|\/\.|\.lock$|[/.]$/.test(text), "Git does not allow such a name.");

const setupCommand = z
  .string()
  .min(1, "An empty command.")
  .max(limits.commandBytes, `At most ${limits.commandBytes} characters.`)
  .refine((text) => !text.includes("\0"), "No NUL.");

export const workspaceOrder = z
  .strictObject({
    git: z
      .strictObject({
        url: gitUrl,
        ref: gitRef.optional(),
        /** Commits of history; absent: all of it. */
        depth: z.int("A whole number.").min(1, "At least 1.").max(1_000_000, "At most 1000000.").optional(),
      })
      .optional(),
    /** Shell command lines, one after the other in the workspace. */
    setup: z.array(setupCommand).max(maxSetupCommands, `At most ${maxSetupCommands} commands.`).optional(),
    /** For these steps only; the session's `env` is there too. */
    env: environment.optional(),
  })
  .refine(({ git, setup }) => git !== undefined || (setup ?? []).length > 0, "Give `git`, `setup` or both.");
export type WorkspaceOrder = z.infer<typeof workspaceOrder>;

/** The names of its steps, in order. */
export function stepNames(order: Pick<WorkspaceOrder, "setup"> & { readonly git?: unknown }): readonly string[] {
  const setup = (order.setup ?? []).map((_, index) => `setup ${index + 1}`);
  return order.git === undefined ? setup : ["clone", ...setup];
}

export function schemeOf(url: string): string {
  return url.slice(0, url.indexOf("://")).toLowerCase();
}

/** null: it can be handed to git as it is. Never repeats the address. */
function wrongUrl(text: string): string | null {
  if (!/^[a-z]+:\/\//i.test(text) || !gitSchemes.some((scheme) => scheme === schemeOf(text)))
    return "An address that begins with https:// or ssh:// (write git@host:path as ssh://git@host/path).";
  // Whatever a shell, a terminal or git's own remote helpers would read as more than an address.
  if (!/^[\x21-\x7e]+$/.test(text) || /["'`\\<>^{}|]/.test(text)) return "Characters that an address cannot hold.";
  if (/%(?![0-9a-f]{2})/i.test(text)) return "A `%` that begins no escape: write it as %25.";
  const parsed = parsedUrl(text);
  if (parsed === null) return "Not an address.";
  if (decoded(parsed.username) === null || decoded(parsed.password) === null)
    return "A user name or password whose escapes are no UTF-8.";
  if (schemeOf(text) === "file") return parsed.host === "" ? null : "A file address names no host.";
  if (!/^[A-Za-z0-9[]/.test(parsed.hostname)) return "A host name begins with a letter or a digit.";
  if (schemeOf(text) === "ssh" && parsed.password !== "") return "An ssh address carries no password: use a key.";
  return /^-|^%2d/i.test(parsed.username) ? "A user name does not begin with a hyphen." : null;
}

/** null: its escapes are no text. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function parsedUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

/**
 * What the wrapper is to do. `authorization` is sent as the header of that name to that very address and nowhere else; it is
 * taken out of the address, so that it ends up neither in .git/config nor in a process list.
 */
export const bootstrapOrder = z.strictObject({
  git: z
    .strictObject({
      url: z.string(),
      ref: z.string().optional(),
      depth: z.int().positive().optional(),
      authorization: z.string().optional(),
    })
    .optional(),
  setup: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  step_timeout_ms: z.int().positive(),
});
export type BootstrapOrder = z.infer<typeof bootstrapOrder>;

export function bootstrapOrderOf(order: WorkspaceOrder, stepTimeoutMs: number): BootstrapOrder {
  const { git, setup = [], env = {} } = order;
  const rest = { setup: [...setup], env: { ...env }, step_timeout_ms: stepTimeoutMs };
  return git === undefined ? rest : { git: { ...git, ...withoutCredentials(git.url) }, ...rest };
}

/** Of an http address. The user of an ssh address is part of where it leads. */
function withoutCredentials(text: string): { readonly url: string; readonly authorization?: string } {
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol) || (url.username === "" && url.password === "")) return { url: text };
  // An order that was stored before such addresses were refused goes to git as it is, which says what is wrong with it.
  const [user, password] = [decoded(url.username), decoded(url.password)];
  if (user === null || password === null) return { url: text };
  const pair = `${user}:${password}`;
  url.username = "";
  url.password = "";
  return { url: url.href, authorization: `Basic ${toBase64(new TextEncoder().encode(pair))}` };
}

/** `POST /bootstrap`: idempotent; another order is 409 `job_mismatch`. Answers as soon as there is more than `seen`, or after `wait_ms`. */
export const bootstrapRequest = z.strictObject({
  order: bootstrapOrder,
  /** The version of the last reply; 0 before the first. */
  seen: z.int().nonnegative(),
  wait_ms: z.int().nonnegative(),
});
export type BootstrapRequest = z.infer<typeof bootstrapRequest>;

export const bootstrapStep = z.object({
  name: z.string(),
  state: z.enum(["running", "succeeded", "failed", "timed_out"]),
  /** Ages, not instants: the sandbox's clock is not ours. */
  started_ago_ms: z.int().nonnegative(),
  ended_ago_ms: z.int().nonnegative().nullable(),
  exit_code: z.int().nullable(),
  /** It failed, and the file system of the workspace has no room left. */
  disk_full: z.boolean(),
  /** The end of what it wrote, secrets taken out. */
  last_output: z.string().max(lastOutputChars),
});
export type BootstrapStep = z.infer<typeof bootstrapStep>;

export const bootstrapReply = z.object({
  /** Grows with every change. */
  version: z.int(),
  /** Those that have begun, in order: the last one may be running. After one that failed none is begun. */
  steps: z.array(bootstrapStep),
});
export type BootstrapReply = z.infer<typeof bootstrapReply>;

/** What fits in a step's `last_output`. */
export function lastOutput(text: string): string {
  return text.slice(-lastOutputChars);
}
