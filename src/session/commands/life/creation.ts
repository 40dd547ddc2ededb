/**
 * Opening a session: intent first, then quota, then the wait the client asked for. The answer about quota belongs to the
 * request: a 429 leaves no session behind and does not use up the Idempotency-Key.
 */
import { bounded, timedOut } from "../../../calls/bounded-call.ts";
import { isSpaceRefusal } from "../../../domain/rules/cold-admission.ts";
import type { SessionId } from "../../../domain/state/ids.ts";
import { statusOf } from "../../../domain/rules/status.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { CreateSession } from "../../../protocol/resources/session/sessions.ts";
import type { SnapshotView } from "../../../protocol/resources/tenant/snapshots.ts";
import type { CommandContext } from "../command-context.ts";
import { admit } from "../../steps/open/admission.ts";
import type { SessionEngine } from "../../engine.ts";
import { cancelCandidate } from "../../steps/end/cancelling.ts";
import { eraseRows } from "../../steps/end/erasing.ts";
import type { StepContext } from "../../steps/step-context.ts";
import { noKeyForSecrets, refusalProblem, refuse, secretsUnreadable, storageFailed } from "../refusals.ts";
import type { FirstAnswer, PendingCreate } from "./pending-create.ts";
import { hasSecrets, type SessionSecrets } from "../../records/secrets.ts";
import type { Caller, CreateOutcome } from "../../session-api.ts";

/** How the first try to open the session went. */
type FirstTry =
  | { readonly type: "opened" }
  /** Nothing is left of the session. */
  | { readonly type: "problem"; readonly problem: Problem }
  | Extract<FirstAnswer, { type: "idUsedBefore" }>;

const idStillInUse: Problem = {
  code: "unavailable",
  detail: "An earlier session of this id is still being put away. Nothing was made. Try again in a moment.",
};

const noSuchSnapshot: Problem = {
  code: "snapshot_missing",
  detail: "There is no snapshot of that id or name, so nothing was made. GET /v1/snapshots lists those there are.",
  errors: [{ pointer: "/snapshot", detail: "Must be the id or the name of a snapshot of the tenant." }],
};

const snapshotUnknown: Problem = {
  code: "unavailable",
  detail: "The tenant's registry did not answer whether there is such a snapshot, so nothing was made. Try again.",
};

export class Creation {
  readonly #context: CommandContext;
  readonly #engine: SessionEngine;
  readonly #steps: StepContext;
  readonly #secrets: SessionSecrets;
  readonly #pending: PendingCreate;

  constructor(context: CommandContext, engine: SessionEngine, steps: StepContext) {
    this.#context = context;
    this.#engine = engine;
    this.#steps = steps;
    this.#secrets = steps.secrets;
    this.#pending = steps.pendingCreate;
  }

  async create(
    id: SessionId,
    caller: Caller,
    body: CreateSession,
    requestHash: string | null,
    waitMs: number,
    /** For a restore drill: the snapshot to begin with, of another tenant's session, instead of what `body` names. No client can pass it. */
    drilled: SnapshotView | null = null,
  ): Promise<Reply<CreateOutcome>> {
    this.#context.ports.trace.follow(caller.traceparent);
    if (this.#pending.waits) {
      return refuse({
        code: "idempotency_in_flight",
        detail: "A create with this Idempotency-Key is being worked on. Repeat it in a moment.",
      });
    }
    if (this.#context.state.mode.type !== "absent") return this.#replay(caller, requestHash, waitMs);
    try {
      let first = await this.#begin(id, caller, body, requestHash, 0, drilled);
      // An earlier session of this id was erased, and the clock is behind its life. The new one begins after it all the same:
      // otherwise their times and generations could not be told apart.
      if (first.type === "idUsedBefore") first = await this.#begin(id, caller, body, requestHash, first.above, drilled);
      if (first.type === "idUsedBefore") return refuse(idStillInUse);
      if (first.type === "problem") return refuse(first.problem);
    } catch (error) {
      this.#context.ports.logger.error("create failed", { session: id, error: String(error) });
      return refuse(storageFailed);
    } finally {
      this.#pending.end();
      this.#engine.pump();
    }
    await this.#context.wait(() => this.#statusIsNot("provisioning"), waitMs);
    return this.#context.answer((session) => ({ ...this.#context.tagged(session), replayed: false }));
  }

  /** Stores it and waits for the answer about quota, which belongs to this request: a 429 must not leave a session behind. */
  async #begin(
    id: SessionId,
    caller: Caller,
    body: CreateSession,
    requestHash: string | null,
    createdAfter: number,
    drilled: SnapshotView | null,
  ): Promise<FirstTry> {
    this.#pending.begin();
    const { clock, policy, providers, defaultProvider } = this.#context.ports;
    const provider = providers.get(defaultProvider);
    if (provider === null) {
      const detail = `No adapter for the configured provider ${defaultProvider} is wired.`;
      return { type: "problem", problem: { code: "unavailable", detail } };
    }
    const snapshot = drilled === null ? await this.#snapshotFor(caller, body) : ({ ok: true, value: drilled } as const);
    if (!snapshot.ok) return { type: "problem", problem: snapshot.problem };
    const admitted = admit(id, caller.tenant, body, {
      now: clock.now(),
      createdAfter,
      policy,
      provider: defaultProvider,
      capabilities: provider.capabilities,
      gitSchemes: this.#context.ports.gitSchemes,
      defaultNetwork: this.#context.ports.defaultNetwork,
      snapshot: snapshot.value,
    });
    if ("code" in admitted) return { type: "problem", problem: admitted };
    const sealed = await this.#seal(id, body, requestHash);
    if (sealed === null) return { type: "problem", problem: noKeyForSecrets };
    this.#context.state.create(admitted, sealed.requestHash, sealed.secrets);
    await this.#context.wait(() => this.#pending.answer !== null || !this.#firstOpening(), policy.observeMs + 1_000);
    const { answer } = this.#pending;
    if (answer === null) return { type: "opened" };
    // A space refusal came after quota was reserved.
    if (answer.type === "refused" && isSpaceRefusal(answer.refusal.code)) await cancelCandidate(this.#steps);
    await eraseRows(this.#context.ports, this.#context.state);
    return answer.type === "refused" ? { type: "problem", problem: refusalProblem(answer.refusal) } : answer;
  }

  /** Asked of the registry of the tenant that creates: nobody can name another's. */
  async #snapshotFor({ tenant }: Caller, { snapshot }: CreateSession): Promise<Reply<SnapshotView | null>> {
    if (snapshot === undefined) return { ok: true, value: null };
    const { ports } = this.#context;
    const found = await bounded(ports.clock, ports.policy.observeMs, () => ports.tenant(tenant).snapshot(snapshot));
    if (found === timedOut) return refuse(snapshotUnknown);
    return found === null ? refuse(noSuchSnapshot) : { ok: true, value: found };
  }

  /** null: there is no key to seal them with. */
  async #seal(
    id: SessionId,
    body: CreateSession,
    requestHash: string | null,
  ): Promise<{ secrets: string; requestHash: string | null } | null> {
    const secrets = await this.#secrets.sealLaunch(id, body);
    if (secrets === null) return null;
    const hides = hasSecrets(body);
    const hash = requestHash === null || !hides ? requestHash : await this.#secrets.sealHash(id, requestHash);
    return { secrets, requestHash: hash };
  }

  /** Quota was not answered yet. */
  #firstOpening(): boolean {
    const session = this.#context.state.session;
    return (
      session?.desired.type === "running" &&
      session.newest === null &&
      session.desired.provision !== null &&
      session.desired.provision.failures === 0
    );
  }

  async #replay(caller: Caller, requestHash: string | null, waitMs: number): Promise<Reply<CreateOutcome>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    // Should its first life have ended before it was armed, this is the wake it needs.
    this.#engine.pump();
    this.#context.state.rearm();
    const known = await this.#secrets.requestHash(found.value.id);
    if (!known.ok) return refuse(secretsUnreadable);
    if (requestHash === null || known.value !== requestHash) {
      return refuse({
        code: "idempotency_mismatch",
        detail:
          "This Idempotency-Key was used for a session with another body. Repeat the same body, or use a new key.",
      });
    }
    await this.#context.wait(() => this.#statusIsNot("provisioning"), waitMs);
    return this.#context.answer((session) => ({ ...this.#context.tagged(session), replayed: true }));
  }

  #statusIsNot(status: ReturnType<typeof statusOf>): boolean {
    const session = this.#context.state.session;
    return session === null || statusOf(session) !== status;
  }
}
