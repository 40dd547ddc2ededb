/**
 * Opening a session: intent first, then quota, then the wait the client asked for. The answer about quota belongs to the
 * request: a 429 leaves no session behind and does not use up the Idempotency-Key.
 */
import { isSpaceRefusal } from "../domain/cold-admission.ts";
import type { SessionId } from "../domain/ids.ts";
import { statusOf } from "../domain/status.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { CreateSession } from "../protocol/sessions.ts";
import type { SessionAccess } from "./access.ts";
import { admit } from "./admission.ts";
import type { SessionEngine } from "./engine.ts";
import type { Opening } from "./opening.ts";
import { noKeyForSecrets, refusalProblem, refuse, secretsUnreadable, storageFailed } from "./refusals.ts";
import type { Reporter } from "./reporter.ts";
import { hidesSomething, type SessionSecrets } from "./secrets.ts";
import type { Caller, CreateOutcome } from "./session-api.ts";

/** What the registry's first answer made of it. */
type First =
  | { readonly type: "opened" }
  /** `reserved`: quota had been granted by then. */
  | { readonly type: "problem"; readonly problem: Problem; readonly reserved: boolean }
  /** Generations up to this one belong to an earlier session of this id. */
  | { readonly type: "passed"; readonly above: number };

const passedTwice: Problem = {
  code: "unavailable",
  detail: "An earlier session of this id is still being put away. Nothing was made. Try again in a moment.",
};

export class Creation {
  readonly #at: SessionAccess;
  readonly #engine: SessionEngine;
  readonly #opening: Opening;
  readonly #reporter: Reporter;
  readonly #secrets: SessionSecrets;
  #creating = false;

  constructor(at: SessionAccess, engine: SessionEngine, opening: Opening, reporter: Reporter, secrets: SessionSecrets) {
    this.#at = at;
    this.#engine = engine;
    this.#opening = opening;
    this.#reporter = reporter;
    this.#secrets = secrets;
  }

  async create(
    id: SessionId,
    caller: Caller,
    body: CreateSession,
    requestHash: string | null,
    waitMs: number,
  ): Promise<Reply<CreateOutcome>> {
    this.#at.ports.trace.follow(caller.traceparent);
    if (this.#creating) {
      return refuse({
        code: "idempotency_in_flight",
        detail: "A create with this Idempotency-Key is being worked on. Repeat it in a moment.",
      });
    }
    if (this.#at.state.mode.type !== "absent") return this.#replay(caller, requestHash, waitMs);
    this.#creating = true;
    this.#reporter.held = true;
    try {
      let first = await this.#begin(id, caller, body, requestHash, 0);
      // An earlier session of this id was erased, and the clock is behind its life: this one begins after it all the same,
      // or nobody could tell the two apart by their times (LEA-2).
      if (first.type === "passed") first = await this.#begin(id, caller, body, requestHash, first.above);
      if (first.type === "passed") return refuse(passedTwice);
      if (first.type === "problem") return refuse(first.problem);
    } catch (error) {
      this.#at.ports.logger.error("create failed", { session: id, error: String(error) });
      return refuse(storageFailed);
    } finally {
      this.#creating = false;
      this.#reporter.held = false;
      this.#opening.onRefused = () => false;
      this.#opening.onPassed = () => false;
      this.#engine.pump();
    }
    await this.#at.wait(() => this.#statusIsNot("provisioning"), waitMs);
    return this.#at.answer((session) => ({ ...this.#at.tagged(session), replayed: false }));
  }

  /** Stores it and waits for the answer about quota, which belongs to this request: a 429 must not leave a session behind. */
  async #begin(
    id: SessionId,
    caller: Caller,
    body: CreateSession,
    requestHash: string | null,
    createdAfter: number,
  ): Promise<First> {
    const { clock, policy, providers, defaultProvider } = this.#at.ports;
    const provider = providers.get(defaultProvider);
    if (provider === null) {
      const detail = `No adapter for the configured provider ${defaultProvider} is wired.`;
      return { type: "problem", problem: { code: "unavailable", detail }, reserved: false };
    }
    const admitted = admit(id, caller.tenant, body, {
      now: clock.now(),
      createdAfter,
      policy,
      provider: defaultProvider,
      capabilities: provider.capabilities,
      gitSchemes: this.#at.ports.gitSchemes,
    });
    if ("code" in admitted) return { type: "problem", problem: admitted, reserved: false };
    const sealed = await this.#seal(id, body, requestHash);
    if (sealed === null) return { type: "problem", problem: noKeyForSecrets, reserved: false };
    let first: First = { type: "opened" };
    const answered = (answer: First): boolean => {
      if (!this.#creating) return false;
      first = answer;
      this.#at.state.touched();
      return true;
    };
    this.#opening.onRefused = (refusal) =>
      answered({ type: "problem", problem: refusalProblem(refusal), reserved: isSpaceRefusal(refusal.code) });
    this.#opening.onPassed = (above) => answered({ type: "passed", above });
    this.#at.state.create(admitted, sealed.requestHash, sealed.secrets);
    await this.#at.wait(() => first.type !== "opened" || !this.#firstOpening(), policy.observeMs + 1_000);
    return this.#undone(first);
  }

  /** A first answer that was no leaves nothing behind. */
  async #undone(first: First): Promise<First> {
    if (first.type === "opened") return first;
    if (first.type === "problem" && first.reserved) await this.#opening.cancelCandidate();
    await this.#engine.forget();
    return first;
  }

  /** null: there is no key to seal them with. */
  async #seal(
    id: SessionId,
    body: CreateSession,
    requestHash: string | null,
  ): Promise<{ secrets: string; requestHash: string | null } | null> {
    const secrets = await this.#secrets.sealLaunch(id, body);
    if (secrets === null) return null;
    const hides = hidesSomething(body);
    const hash = requestHash === null || !hides ? requestHash : await this.#secrets.sealHash(id, requestHash);
    return { secrets, requestHash: hash };
  }

  /** Quota was not answered yet. */
  #firstOpening(): boolean {
    const session = this.#at.state.session;
    return (
      session?.desired.type === "running" &&
      session.newest === null &&
      session.desired.provision !== null &&
      session.desired.provision.failures === 0
    );
  }

  async #replay(caller: Caller, requestHash: string | null, waitMs: number): Promise<Reply<CreateOutcome>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    // Should its first life have ended before it was armed, this is the wake it needs.
    this.#engine.pump();
    this.#at.state.rearm();
    const known = await this.#secrets.requestHash(found.value.id);
    if (!known.ok) return refuse(secretsUnreadable);
    if (requestHash === null || known.value !== requestHash) {
      return refuse({
        code: "idempotency_mismatch",
        detail:
          "This Idempotency-Key was used for a session with another body. Repeat the same body, or use a new key.",
      });
    }
    await this.#at.wait(() => this.#statusIsNot("provisioning"), waitMs);
    return this.#at.answer((session) => ({ ...this.#at.tagged(session), replayed: true }));
  }

  #statusIsNot(status: ReturnType<typeof statusOf>): boolean {
    const session = this.#at.state.session;
    return session === null || statusOf(session) !== status;
  }
}
