/**
 * A session's calls to its provider: each has a bound, and none throws. Also what steps read of the session: its leases,
 * their provider, and the target that a lease is to a provider.
 */
import type { SessionEvent } from "../../domain/machine/events.ts";
import { failed, type ProviderResult } from "../../domain/state/failure.ts";
import type { AttemptId, Generation } from "../../domain/state/ids.ts";
import type { Candidate, LeaseIdentity, OpenLease } from "../../domain/state/lease.ts";
import type { Observation } from "../../domain/state/observation.ts";
import type { Outcome } from "../../domain/machine/outcome.ts";
import { openLeases, type Session } from "../../domain/state/session.ts";
import type { AgentSandbox, CallBound, Target } from "../../sandbox/agent-sandbox.ts";
import { type CallOutcome, outcomeWithin } from "../../calls/outcome-within.ts";
import type { OutcomeTally } from "../jobs/outcome-tally.ts";
import type { SessionPorts } from "../ports.ts";
import type { SessionState } from "../session-state.ts";
import type { Actor } from "../records/history.ts";
import type { SpanFacts } from "../trace.ts";

/** A lease, or the candidate for one: enough to name a target. */
type Addressee = Candidate & { readonly host?: string | null };

/** Observations are stored: a fork bomb must not make a row that is too large to write. */
const residueKept = 16;

export class ProviderCalls {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #tally: OutcomeTally;

  constructor(ports: SessionPorts, state: SessionState, tally: OutcomeTally) {
    this.#ports = ports;
    this.#state = state;
    this.#tally = tally;
  }

  dispatch(event: SessionEvent, actor: Actor = "alarm"): Outcome {
    return this.#state.dispatch(event, actor);
  }

  attempt(): AttemptId {
    return this.#ports.ids.id() as AttemptId;
  }

  session(): Session {
    const session = this.#state.session;
    if (session === null) throw new Error("a step without a session");
    return session;
  }

  lease(generation: Generation): OpenLease | null {
    return openLeases(this.session()).find((lease) => lease.generation === generation) ?? null;
  }

  provider(lease: Pick<LeaseIdentity, "provider">): AgentSandbox | null {
    return this.#ports.providers.get(lease.provider);
  }

  target(lease: Addressee): Target {
    const { sandboxId, container, generation, instanceId } = lease;
    const target = { sessionId: this.session().id, sandboxId, generation, instanceId, host: lease.host ?? null };
    return container === undefined ? target : { ...target, container };
  }

  async call<T>(
    ms: number,
    what: string,
    call: (bound: CallBound) => Promise<ProviderResult<T>>,
  ): Promise<ProviderResult<T>> {
    const answer = await this.#outcome(ms, what, call);
    if (answer.type === "answered") return answer.value;
    return answer.type === "hung"
      ? failed("timed_out", `${what}: no answer within ${ms} ms.`, "unknown")
      : failed("unavailable", `${what}: the provider failed.`, "unknown");
  }

  async #outcome<T>(ms: number, what: string, call: (bound: CallBound) => Promise<T>): Promise<CallOutcome<T>> {
    const answer = await outcomeWithin(this.#ports.clock, ms, call);
    if (answer.type === "hung") this.#tally.callTimedOut();
    // The port promises not to throw. A provider that throws may have done anything.
    if (answer.type === "failed") this.#ports.logger.error("a provider threw", { what, error: answer.message });
    return answer;
  }

  /** What names a sandbox in a span. */
  spanFacts({ provider, sandboxId, generation }: Addressee): SpanFacts {
    return { "session.id": this.session().id, provider, "sandbox.id": sandboxId, generation };
  }

  look(lease: Addressee): Promise<Observation> {
    return this.#ports.trace.span("mooring.look", this.spanFacts(lease), async (note) => {
      const seen = await this.#look(lease);
      note({ answer: seen.answer, detail: seen.detail });
      return seen;
    });
  }

  async #look(lease: Addressee): Promise<Observation> {
    const { clock, policy } = this.#ports;
    const provider = this.provider(lease);
    const beganAt = clock.now();
    const target = this.target(lease);
    const unknown = (detail: string): Observation => ({
      answer: "unknown",
      provider: lease.provider,
      host: null,
      boot: null,
      sandboxId: lease.sandboxId,
      generation: lease.generation,
      beganAt,
      residue: [],
      detail,
    });
    if (provider === null) return unknown(`No adapter for provider ${lease.provider} is wired.`);
    const answer = await this.#outcome(policy.observeMs, "observe", (bound) =>
      provider.observe(target, beganAt, bound),
    );
    if (answer.type === "hung") return unknown(`No answer within ${policy.observeMs} ms.`);
    if (answer.type === "failed") return unknown("The provider failed.");
    return { ...answer.value, residue: answer.value.residue.slice(0, residueKept) };
  }
}
