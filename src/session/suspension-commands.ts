/** Pausing, resuming, and rebuilding a session in a new sandbox. */
import type { Session } from "../domain/session.ts";
import { statusOf } from "../domain/status.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { SessionView } from "../protocol/sessions.ts";
import type { SessionAccess } from "./access.ts";
import { checkSeconds } from "./admission.ts";
import { refuse, setbackProblem } from "./refusals.ts";
import type { Caller, Tagged } from "./session-api.ts";

export class SuspensionCommands {
  readonly #at: SessionAccess;

  constructor(at: SessionAccess) {
    this.#at = at;
  }

  async pause(caller: Caller): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    if (found.value.desired.type === "running" && !this.#canSave(found.value))
      return refuse(this.#unsupported(found.value));
    const asked = this.#at.dispatch({ type: "pauseRequested" }, "client");
    return asked.ok ? this.#at.answer((session) => this.#at.tagged(session)) : asked;
  }

  async resume(caller: Caller, seconds: number | null, waitMs: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    const { policy } = this.#at.ports;
    const problem = seconds === null ? null : checkSeconds("timeout_seconds", seconds, policy.maxTimeoutMs);
    if (problem !== null) return refuse(problem);
    const timeoutMs = seconds === null ? found.value.limits.timeoutMs : seconds * 1_000;
    const asked = this.#at.dispatch({ type: "resumeRequested", timeoutMs }, "client");
    if (!asked.ok) return asked;
    return this.#launched(waitMs);
  }

  async rebuild(caller: Caller, waitMs: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#at.find(caller);
    if (!found.ok) return found;
    // A live sandbox is never given up for an empty one: without a way to save it there is no rebuild.
    const live = found.value.desired.type === "running" && found.value.newest?.phase === "held";
    if (live && !this.#canSave(found.value)) return refuse(this.#unsupported(found.value));
    const asked = this.#at.dispatch({ type: "rebuildRequested" }, "client");
    if (!asked.ok) return asked;
    return this.#launched(waitMs);
  }

  /** A provision that a client asked for: what stood against it is the answer to this very request. */
  async #launched(waitMs: number): Promise<Reply<Tagged<SessionView>>> {
    const { policy } = this.#at.ports;
    await this.#at.wait(() => !this.#opening(), policy.observeMs + 1_000);
    await this.#at.wait(() => this.#settled(), waitMs);
    const session = this.#at.state.session;
    // Set back to where it was, though what was tried may still be stopping.
    if (session?.desired.type === "suspended" && session.setback !== null)
      return refuse(setbackProblem(session.setback, session.desired.cause === "pause" ? "paused" : "lost"));
    return this.#at.answer((now) => this.#at.tagged(now));
  }

  /** Quota was not answered yet. */
  #opening(): boolean {
    const session = this.#at.state.session;
    if (session?.desired.type !== "running" || session.desired.provision === null) return false;
    const { newest, desired } = session;
    return (newest === null || newest.phase === "closed") && desired.provision?.failures === 0;
  }

  #settled(): boolean {
    const session = this.#at.state.session;
    return session === null || statusOf(session) !== "provisioning";
  }

  #canSave(session: Session): boolean {
    return this.#at.ports.providers.get(session.provider)?.capabilities.snapshot === true;
  }

  #unsupported(session: Session): Problem {
    return {
      code: "unsupported_by_provider",
      detail: `The provider ${session.provider} cannot save a sandbox's files, so this session can neither pause nor be rebuilt while it runs.`,
    };
  }
}
