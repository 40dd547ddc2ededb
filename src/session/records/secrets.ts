/**
 * What a client gives to be used and never shown again: the env of a session, the env and stdin of a job, and the digest of
 * a create that carries an env (a digest of few unknowns gives them away). Sealed before they are stored, opened when they
 * are handed to the sandbox, and never part of a view, an event, a report or a log.
 *
 * What cannot be opened (its key is gone, its bytes were changed) stays as it is: whoever needs it waits and says why, and
 * everything else of the session goes on. Rows sealed with an older key, or stored before there was sealing, are sealed
 * anew by the next alarm, or by an operator's round (docs/operations.md).
 */
import { z } from "zod";
import type { JobId, SessionId } from "../../domain/state/ids.ts";
import type { CreateJob } from "../../protocol/resources/session/jobs.ts";
import { type InjectedHeader, injectedHeader } from "../../protocol/resources/session/network.ts";
import type { CreateSession } from "../../protocol/resources/session/sessions.ts";
import { workspaceOrder, type WorkspaceOrder } from "../../protocol/sandbox/workspace.ts";
import { isSealed, type Seals } from "../../storage/seals.ts";
import type { JobStore } from "../jobs/job-store.ts";
import type { Job, JobBody } from "../jobs/job-row.ts";
import type { SessionPorts } from "../ports.ts";
import type { SealCount } from "../session-api.ts";
import type { SessionState } from "../session-state.ts";
import type { SealedRow, SessionStore } from "./store.ts";

/** What a launch needs of them. */
export interface LaunchSecrets {
  readonly env: Readonly<Record<string, string>>;
  /** Headers that requests to a host get outside of the sandbox. */
  readonly inject?: readonly InjectedHeader[];
  /** Its addresses and commands may hold secrets as well as its env. */
  readonly workspace?: WorkspaceOrder;
}

/** Whether a create carries anything that is to be sealed. */
export function hasSecrets({ env, workspace, network }: CreateSession): boolean {
  return workspace !== undefined || Object.keys(env ?? {}).length > 0 || (network?.inject ?? []).length > 0;
}

/** What a hand-over needs of them. */
export interface JobSecrets {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

const textMap = z.record(z.string(), z.string());
const launchSecrets = z.object({
  env: textMap,
  workspace: workspaceOrder.optional(),
  inject: z.array(injectedHeader).optional(),
});
const jobSecrets = z.object({ env: textMap.optional(), stdin: z.string().optional() });

const nothing = "{}";

export class SessionSecrets {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #store: SessionStore;
  readonly #jobs: JobStore;
  /** Looked through once in each life of the object: keys change with a deploy, and a deploy ends it. */
  #looked = false;

  constructor(ports: SessionPorts, state: SessionState, store: SessionStore, jobs: JobStore) {
    this.#ports = ports;
    this.#state = state;
    this.#store = store;
    this.#jobs = jobs;
  }

  get #seals(): Seals {
    return this.#ports.seals;
  }

  /** null: no key to seal with. A session without an env and a workspace needs none. */
  async sealLaunch(id: SessionId, body: CreateSession): Promise<string | null> {
    if (!hasSecrets(body)) return nothing;
    const { env = {}, workspace, network } = body;
    return await this.#sealLaunch(id, { env, workspace, inject: network?.inject });
  }

  /** What should stand there once these headers replace the ones before. Not ok: no key, or what stands there cannot be read. */
  async withHeaders(
    id: SessionId,
    inject: readonly InjectedHeader[],
  ): Promise<Read<{ readonly before: string; readonly after: string }>> {
    const before = this.#store.launchSecrets();
    const known = await this.launch(id);
    if (!known.ok) return known;
    const { env, workspace } = known.value;
    const isEmpty = workspace === undefined && inject.length === 0 && Object.keys(env).length === 0;
    const after = isEmpty ? nothing : await this.#sealLaunch(id, { env, workspace, inject });
    return after === null ? { ok: false, why: "no key" } : { ok: true, value: { before, after } };
  }

  #sealLaunch(id: SessionId, what: object): Promise<string | null> {
    return this.#seals.seal(JSON.stringify(what), sealContext(id, "launch"));
  }

  /** null: no key to seal with. */
  async sealHash(id: SessionId, hash: string): Promise<string | null> {
    return await this.#seals.seal(hash, sealContext(id, "request"));
  }

  /** The hash of the create that made this session; null: it had no Idempotency-Key, or the hash cannot be read. */
  async requestHash(id: SessionId): Promise<Read<string | null>> {
    const stored = this.#store.requestHash();
    if (stored === null) return { ok: true, value: null };
    const opened = await this.#seals.open(stored, sealContext(id, "request"));
    return opened.ok ? { ok: true, value: opened.text } : opened;
  }

  /** At once when there are none: most sessions have none, and a launch should not wait for that. */
  launch(id: SessionId): Read<LaunchSecrets> | Promise<Read<LaunchSecrets>> {
    const stored = this.#store.launchSecrets();
    return stored === nothing ? { ok: true, value: { env: {} } } : this.#openLaunch(id, stored);
  }

  async #openLaunch(id: SessionId, stored: string): Promise<Read<LaunchSecrets>> {
    // Before there was sealing the env stood there by itself.
    if (!isSealed(stored))
      return parsed(
        textMap.transform((env) => ({ env })),
        stored,
      );
    const opened = await this.#seals.open(stored, sealContext(id, "launch"));
    return opened.ok ? (parsed(launchSecrets, opened.text) as Read<LaunchSecrets>) : opened;
  }

  /** What of a job is stored in the open, and the rest of it sealed (null: there is no rest). Not ok: no key. */
  async sealJob(
    session: SessionId,
    job: JobId,
    body: CreateJob,
  ): Promise<Read<{ body: JobBody; secrets: string | null }>> {
    const { env, stdin, ...open } = body;
    if (env === undefined && stdin === undefined) return { ok: true, value: { body: open, secrets: null } };
    const text = JSON.stringify({ env, stdin });
    const secrets = await this.#seals.seal(text, sealContext(session, `job/${job}`));
    return secrets === null ? { ok: false, why: "no key" } : { ok: true, value: { body: open, secrets } };
  }

  async job(session: SessionId, job: Pick<Job, "id" | "secrets">): Promise<Read<JobSecrets>> {
    if (job.secrets === null) return { ok: true, value: {} };
    const opened = await this.#seals.open(job.secrets, sealContext(session, `job/${job.id}`));
    // zod knows `undefined` where the type says absent; there is none in what was JSON.
    return opened.ok ? (parsed(jobSecrets, opened.text) as Read<JobSecrets>) : opened;
  }

  /** Whether the rows are to be looked through. */
  get due(): boolean {
    return !this.#looked && this.#state.mode.type === "readable";
  }

  /** Another session begins in this object. */
  reset(): void {
    this.#looked = false;
  }

  /** Seals anew what is not sealed with the newest key. What cannot be opened is left as it is, and counted. */
  async renew(): Promise<SealCount> {
    this.#looked = true;
    const count = { current: 0, renewed: 0, unreadable: 0 };
    const session = this.#state.session;
    if (session === null || this.#state.mode.type !== "readable") return count;
    const { id } = session;
    const rows: readonly SealedRow[] = [...this.#store.sealedRows(), ...this.#jobs.sealedRows()];
    for (const row of rows) {
      const { place } = row;
      const stored = row.read();
      if (stored === null) continue;
      // The env itself becomes what a launch needs, once.
      const plain = place === "launch" && !isSealed(stored);
      const text = plain ? `{"env":${stored}}` : stored;
      const outcome =
        stored === nothing ? ({ type: "current" } as const) : await this.#seals.renew(text, sealContext(id, place));
      count[outcome.type] += 1;
      // Only if it still stands there: what was written meanwhile was sealed with the newest key.
      if (outcome.type === "renewed") this.#state.writeWithAlarm(() => row.replace(stored, outcome.sealed));
      if (outcome.type === "unreadable")
        this.#ports.logger.error("a sealed row cannot be read", { session: id, place, why: outcome.why });
    }
    return count;
  }
}

/** What a seal is bound to. */
function sealContext(session: SessionId, place: string): string {
  return `mooring/session/${session}/${place}`;
}

function parsed<T>(schema: z.ZodType<T>, text: string): Read<T> {
  try {
    const read = schema.safeParse(JSON.parse(text));
    if (read.success) return { ok: true, value: read.data };
  } catch {
    // Said below.
  }
  return { ok: false, why: "what is stored is not what this version writes" };
}
