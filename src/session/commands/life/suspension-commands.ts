/** Pausing, resuming, attaching to, and rebuilding a session in a new sandbox. */
import { nextCalls, say } from "../../../domain/state/next-calls.ts";
import type { Outcome } from "../../../domain/machine/outcome.ts";
import type { Session } from "../../../domain/state/session.ts";
import { statusOf, type Status } from "../../../domain/rules/status.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import { requestedBy, type CommandContext } from "../command-context.ts";
import { checkSeconds } from "../../steps/open/admission.ts";
import { askToPause } from "../../steps/save/pause-admission.ts";
import { jobsRefused, pauseRefused, refuse, setbackOf } from "../refusals.ts";
import type { ChangeReply, AttachOrder, Caller, Tagged } from "../../session-api.ts";

export class SuspensionCommands {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async pause(caller: Caller, waitMs = 0): Promise<Reply<ChangeReply>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    if (found.value.desired.type === "running" && !this.#canSave(found.value))
      return refuse(this.#unsupported(found.value));
    const refusal = takesPlace(found.value) ? await askToPause(this.#context.ports, found.value) : null;
    if (refusal !== null) return refuse(pauseRefused(refusal));
    const asked = this.#context.dispatch({ type: "pauseRequested", ...requestedBy(caller) }, "client");
    if (!asked.ok) return asked;
    await this.#context.wait(() => this.#statusIsNot("pausing"), waitMs);
    return this.#context.answer((session) => ({
      ...this.#context.tagged(session),
      changed: asked.value.type === "moved",
    }));
  }

  async resume(caller: Caller, seconds: number | null, waitMs: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const { policy } = this.#context.ports;
    const problem = seconds === null ? null : checkSeconds("timeout_seconds", seconds, policy.maxTimeoutMs);
    if (problem !== null) return refuse(problem);
    const timeoutMs = seconds === null ? found.value.limits.timeoutMs : seconds * 1_000;
    const asked = this.#context.dispatch({ type: "resumeRequested", timeoutMs }, "client");
    if (!asked.ok) return asked;
    return this.#launched(waitMs);
  }

  async attach(caller: Caller, order: AttachOrder, waitMs: number): Promise<Reply<ChangeReply>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const { clock, policy } = this.#context.ports;
    const problem = checkSeconds("timeout", order.seconds, policy.maxTimeoutMs);
    if (problem !== null) return refuse(problem);
    const until = clock.now() + order.seconds * 1_000;
    const changed = statusOf(found.value) !== "running";
    const paused = found.value.desired.type === "suspended" && found.value.desired.cause === "pause";
    const asked = paused ? this.#resumeFor(found.value, order) : this.#extendFor(found.value, until);
    if (!asked.ok) return asked;
    await this.#context.wait(() => this.#arrived(), waitMs);
    const setback = this.#setback();
    if (setback !== null) return refuse(setback);
    const session = this.#context.state.session;
    // Somebody else's resume was under way: its end, not this one's, was set.
    if (session !== null && paused && session.endAt < until && asked.value.type === "ignored") {
      const extended = this.#extendFor(session, until);
      if (!extended.ok) return extended;
    }
    return this.#context.answer((now) => ({ ...this.#context.tagged(now), changed }));
  }

  #resumeFor(session: Session, order: AttachOrder): Reply<Outcome> {
    const refused = order.resumes === "always" || session.profile.autoResume ? null : jobsRefused(session);
    if (refused !== null) return refuse(refused);
    if (order.seconds < 1) return refuse(noTime);
    return this.#context.dispatch({ type: "resumeRequested", timeoutMs: order.seconds * 1_000 }, "client");
  }

  #extendFor(session: Session, until: number): Reply<Outcome> {
    const refused = jobsRefused(session);
    if (refused !== null) return refuse(refused);
    const durationMs = Math.max(0, until - this.#context.ports.clock.now());
    return this.#context.dispatch({ type: "timeoutSet", kind: "refresh", durationMs }, "client");
  }

  /** It runs, or will not by itself. */
  #arrived(): boolean {
    const session = this.#context.state.session;
    if (session === null) return true;
    const status = statusOf(session);
    if (status === "pausing") return session.desired.type === "suspended" && !session.desired.resumeQueued;
    return status !== "provisioning" && status !== "recovering";
  }

  async rebuild(caller: Caller, waitMs: number): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    // A live sandbox is never given up for an empty one: without a way to save it there is no rebuild.
    const live = found.value.desired.type === "running" && found.value.newest?.phase === "held";
    if (live && !this.#canSave(found.value)) return refuse(this.#unsupported(found.value));
    const asked = this.#context.dispatch({ type: "rebuildRequested" }, "client");
    if (!asked.ok) return asked;
    return this.#launched(waitMs);
  }

  /** A client asked for this provision, so the reason why it failed is the answer to this request. */
  async #launched(waitMs: number): Promise<Reply<Tagged<SessionView>>> {
    const { policy } = this.#context.ports;
    await this.#context.wait(() => !this.#opening(), policy.observeMs + 1_000);
    await this.#context.wait(() => this.#statusIsNot("provisioning"), waitMs);
    const setback = this.#setback();
    if (setback !== null) return refuse(setback);
    return this.#context.answer((now) => this.#context.tagged(now));
  }

  #setback(): Problem | null {
    const { session } = this.#context.state;
    return session === null ? null : setbackOf(session);
  }

  /** Quota was not answered yet. */
  #opening(): boolean {
    const session = this.#context.state.session;
    if (session?.desired.type !== "running" || session.desired.provision === null) return false;
    const { newest, desired } = session;
    return (newest === null || newest.phase === "closed") && desired.provision?.failures === 0;
  }

  #statusIsNot(status: Status): boolean {
    const session = this.#context.state.session;
    return session === null || statusOf(session) !== status;
  }

  #canSave(session: Session): boolean {
    return this.#context.ports.providers.get(session.provider)?.capabilities.snapshot === true;
  }

  #unsupported(session: Session): Problem {
    return {
      code: "unsupported_by_provider",
      detail: `The provider ${session.provider} cannot save a sandbox's files, so this session can neither pause nor be rebuilt while it runs. ${say(nextCalls.end)} ends it; a new one (${say(nextCalls.create)}) may be with another provider.`,
    };
  }
}

/** It would be drained and saved. A start from what is saved that is called off saves nothing. */
function takesPlace({ desired, newest }: Session): boolean {
  return desired.type === "running" && newest?.phase === "held" && newest.gate.type !== "preparing";
}

const noTime: Problem = {
  code: "validation_failed",
  detail: "The session is paused, and to resume it for no time at all makes no sense. Ask for at least one second.",
};
