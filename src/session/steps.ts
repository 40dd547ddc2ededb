/**
 * Carries out what reconcile asks for: each step stores its intent through an event, calls the provider within a bound,
 * and reports what came of it as another event. It never decides: a result that is too late is for the machine to ignore.
 */
import type { Actor } from "./store.ts";
import { isolatedSandboxId, type AttemptId, type Generation, type InstanceId } from "../domain/ids.ts";
import type { EventOf, OpeningFailure } from "../domain/events.ts";
import { failed, type ProviderFailure, type ProviderResult } from "../domain/failure.ts";
import type { Candidate, LeaseIdentity, OpenLease, Retirement, Stopping } from "../domain/lease.ts";
import type { Observation } from "../domain/observation.ts";
import type { Step } from "../domain/reconcile.ts";
import { openLeases, type Session } from "../domain/session.ts";
import { supportedWrapperProtocols } from "../protocol/wrapper.ts";
import type { AgentSandbox, CallBound, Target } from "../sandbox/agent-sandbox.ts";
import { bounded, timedOut } from "./bounded.ts";
import type { JobRunner } from "./jobs.ts";
import type { SessionPorts } from "./ports.ts";
import type { SessionState } from "./session-state.ts";

/** What an opening that was refused for quota means while its create still waits: nothing is kept. */
export type QuotaRefusal = { readonly limit: number; readonly used: number };

export class StepRunner {
  readonly #ports: SessionPorts;
  readonly #state: SessionState;
  readonly #jobs: JobRunner;
  readonly #env: () => Readonly<Record<string, string>>;
  /** Set while a create waits for its first answer: a refusal then undoes the session instead of waiting. True: it was taken. */
  onQuotaRefused: (refusal: QuotaRefusal) => boolean = () => false;

  constructor(ports: SessionPorts, state: SessionState, jobs: JobRunner, env: () => Readonly<Record<string, string>>) {
    this.#ports = ports;
    this.#state = state;
    this.#jobs = jobs;
    this.#env = env;
  }

  async run(step: Step): Promise<void> {
    switch (step.type) {
      case "openLease":
        return this.#open();
      case "launch":
        return this.#relaunch(step.generation);
      case "renew":
        return this.#renew(step.generation);
      case "stop":
        return this.#stop(step.generation);
      case "probe":
        return this.#probe(step.generation);
      case "becomeGhost":
        this.#dispatch({ type: "ghostNeeded" });
        return;
      case "cancelReservation":
        return this.#cancel(step.generation);
      case "erase":
        return this.#erase();
      case "drain":
      case "save":
      case "deleteSnapshot":
        // Reached only through pause and rebuild of a live session, which a provider without snapshots refuses at the door.
        this.#ports.logger.error("no adapter here can save a sandbox", { step: step.type });
        return;
    }
  }

  #dispatch(event: Parameters<SessionState["dispatch"]>[0], actor: Actor = "alarm") {
    return this.#state.dispatch(event, actor);
  }

  #attempt(): AttemptId {
    return this.#ports.ids.id() as AttemptId;
  }

  #session(): Session {
    const session = this.#state.session;
    if (session === null) throw new Error("a step without a session");
    return session;
  }

  #lease(generation: Generation): OpenLease | null {
    return openLeases(this.#session()).find((lease) => lease.generation === generation) ?? null;
  }

  #provider(lease: Pick<LeaseIdentity, "provider">): AgentSandbox | null {
    return this.#ports.providers.get(lease.provider);
  }

  #target(lease: Candidate & { readonly host?: string | null }): Target {
    const { sandboxId, generation, instanceId } = lease;
    return { sessionId: this.#session().id, sandboxId, generation, instanceId, host: lease.host ?? null };
  }

  async #call<T>(
    ms: number,
    what: string,
    call: (bound: CallBound) => Promise<ProviderResult<T>>,
  ): Promise<ProviderResult<T>> {
    try {
      const answer = await bounded(this.#ports.clock, ms, call);
      return answer === timedOut ? failed("timed_out", `${what}: no answer within ${ms} ms.`, "unknown") : answer;
    } catch (error) {
      // The port promises not to throw: whoever does may have done anything.
      this.#ports.logger.error("a provider threw", { what, error: String(error) });
      return failed("unavailable", `${what}: the provider failed.`, "unknown");
    }
  }

  async #look(lease: Candidate & { readonly host?: string | null }): Promise<Observation> {
    const { clock, policy } = this.#ports;
    const provider = this.#provider(lease);
    const beganAt = clock.now();
    const target = this.#target(lease);
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
    try {
      const answer = await bounded(clock, policy.observeMs, (bound) => provider.observe(target, beganAt, bound));
      return answer === timedOut ? unknown(`No answer within ${policy.observeMs} ms.`) : answer;
    } catch (error) {
      this.#ports.logger.error("a provider threw", { what: "observe", error: String(error) });
      return unknown("The provider failed.");
    }
  }

  // --- opening and launching -------------------------------------------------------------------------------------

  async #open(): Promise<void> {
    const session = this.#session();
    const { desired } = session;
    if (desired.type !== "running" || desired.provision === null) return;
    const { ids, clock, policy } = this.#ports;
    const candidate = desired.provision.candidate ?? this.#mint(session);
    const attemptId = this.#attempt();
    // Two bounded calls, and a little for ourselves.
    const deadline = clock.now() + 2 * policy.observeMs + 1_000;
    const started = this.#dispatch({ type: "openingStarted", attemptId, candidate, deadline });
    if (started.type !== "moved") return;
    const fail = (failure: OpeningFailure) =>
      void this.#dispatch({ type: "openingFailed", attemptId, failure, jitter: ids.random() });

    const refused = await this.#reserve(session, candidate);
    if (refused !== null) {
      if ("limit" in refused && this.onQuotaRefused(refused)) return;
      fail("limit" in refused ? { code: "quota_exhausted", message: quotaWords(refused) } : refused);
      return;
    }
    const observation = await this.#look(candidate);
    if (observation.answer === "present") {
      this.#dispatch({ type: "orphanFound", candidate, observation });
      return;
    }
    if (observation.answer === "unknown") {
      fail({
        code: "unavailable",
        message: `The provider cannot say whether the new sandbox id is free: ${observation.detail}`,
      });
      return;
    }
    const launchAttemptId = this.#attempt();
    const opened = this.#dispatch({ type: "leaseOpened", attemptId, launchAttemptId, observation });
    if (opened.type === "moved") await this.#launch(candidate.generation, launchAttemptId);
  }

  #mint(session: Session): Candidate {
    const generation = session.nextGeneration;
    return {
      generation,
      instanceId: this.#ports.ids.id() as InstanceId,
      sandboxId: isolatedSandboxId(session.id, generation),
      provider: session.provider,
      secret: this.#ports.ids.secret(),
    };
  }

  /** null: granted. */
  async #reserve(session: Session, candidate: Candidate): Promise<OpeningFailure | QuotaRefusal | null> {
    const { generation, sandboxId } = candidate;
    const order = { sessionId: session.id, generation, sandboxId, createdAt: session.createdAt };
    try {
      const reply = await bounded(this.#ports.clock, this.#ports.policy.observeMs, () =>
        this.#ports.tenant(session.tenant).reserve(order),
      );
      if (reply === timedOut) return { code: "unavailable", message: "The tenant's registry did not answer." };
      if (reply.granted) return null;
      if (reply.code === "quota_exhausted") return { limit: reply.limit, used: reply.used };
      return { code: "stale_generation", message: "That generation was used before.", above: reply.above };
    } catch (error) {
      this.#ports.logger.warn("reserve failed", { error: String(error) });
      return { code: "unavailable", message: "The tenant's registry could not be reached." };
    }
  }

  async #relaunch(generation: Generation): Promise<void> {
    const attemptId = this.#attempt();
    if (this.#dispatch({ type: "launchStarted", generation, attemptId }).type === "moved")
      await this.#launch(generation, attemptId);
  }

  async #launch(generation: Generation, attemptId: AttemptId): Promise<void> {
    const lease = this.#lease(generation);
    if (lease?.phase !== "launching") return;
    const { ids, policy } = this.#ports;
    const provider = this.#provider(lease);
    const result =
      provider === null
        ? failed("unsupported", `No adapter for provider ${lease.provider} is wired.`, "none")
        : await this.#call(policy.launchCallMs, "launch", (bound) =>
            provider.launch(
              {
                sessionId: this.#session().id,
                sandboxId: lease.sandboxId,
                instanceId: lease.instanceId,
                generation,
                secret: lease.secret,
                launchNotAfter: lease.launchNotAfter,
                leaseTtlMs: policy.leaseTtlMs,
                jobGraceMs: policy.jobGraceMs,
                stopGraceMs: policy.stopGraceMs,
                env: this.#env(),
              },
              bound,
            ),
          );
    if (result.ok) this.#dispatch({ type: "launchSucceeded", generation, attemptId, host: result.value.host });
    else this.#dispatch({ type: "launchFailed", generation, attemptId, failure: result.failure, jitter: ids.random() });
  }

  // --- renewing ----------------------------------------------------------------------------------------------------

  async #renew(generation: Generation): Promise<void> {
    const lease = this.#lease(generation);
    if (lease?.phase !== "held" && lease?.phase !== "launching") return;
    const { clock, policy } = this.#ports;
    const sequence = lease.renewals.sequence + 1;
    const sentAt = clock.now();
    if (this.#dispatch({ type: "renewalStarted", generation, sequence }).type !== "moved") return;
    const wrapper = this.#jobs.wrapperOf(lease);
    const result =
      wrapper === null
        ? failed("unavailable", `No adapter for provider ${lease.provider} is wired.`, "none")
        : await this.#call(policy.observeMs, "renew", (bound) =>
            wrapper.renew({ sequence, sent_at: sentAt, ttl_ms: policy.leaseTtlMs }, bound),
          );
    if (!result.ok) return this.#renewalFailed(lease, sequence, result.failure);
    const reply = result.value;
    // Jobs first: an end that is known must not be overtaken by an idle kill decided on the same report.
    await this.#jobs.learnAll(lease, reply.jobs);
    this.#dispatch(
      {
        type: "renewalAccepted",
        generation,
        sequence,
        sentAt,
        protocolSupported: supportedWrapperProtocols.includes(reply.protocol),
        activeJobs: reply.active_jobs,
        idleMs: reply.idle_ms,
      },
      "sandbox",
    );
  }

  async #renewalFailed(lease: OpenLease, sequence: number, failure: ProviderFailure): Promise<void> {
    const { generation } = lease;
    const failedEvent = {
      type: "renewalFailed",
      generation,
      sequence,
      failure,
      jitter: this.#ports.ids.random(),
    } as const;
    if (this.#dispatch(failedEvent, "sandbox").type !== "moved") return;
    const still = this.#lease(generation);
    if (still === null || still.phase === "stopping") return;
    const observation = await this.#look(still);
    const type = { present: "observedPresent", absent: "observedAbsent", unknown: "observedUnknown" } as const;
    this.#dispatch({ type: type[observation.answer], generation, observation }, "sandbox");
  }

  // --- stopping ----------------------------------------------------------------------------------------------------

  async #stop(generation: Generation): Promise<void> {
    const attemptId = this.#attempt();
    if (this.#dispatch({ type: "stopStarted", generation, attemptId }).type !== "moved") return;
    const lease = this.#lease(generation);
    if (lease?.phase !== "stopping" || lease.step.type !== "acting") return;
    const { clock, ids } = this.#ports;
    // First of all nothing new may start there; then what runs is ended.
    const retired = await this.#retire(lease);
    const fatal = await this.#end(lease, lease.step.deadline);
    const settledAt = clock.now();
    const looks = await this.#lookTwice(lease);
    const finished: EventOf<"stopFinished"> = {
      type: "stopFinished",
      generation,
      attemptId,
      retired,
      looks,
      settledAt,
      error: fatal,
      jitter: ids.random(),
    };
    this.#closed(generation, this.#dispatch(finished, "sandbox").type === "moved", lease);
  }

  /** null: done, or nothing was there. Otherwise what went wrong, in words. */
  async #end(lease: Stopping, deadline: number): Promise<string | null> {
    const { clock, policy } = this.#ports;
    const provider = this.#provider(lease);
    if (provider === null) return `No adapter for provider ${lease.provider} is wired.`;
    const looks = 2 * policy.observeMs + policy.absenceLookGapMs;
    if (lease.attempts.length === 1) {
      // Their results are worth a moment, as long as the stop itself keeps its full time.
      const spare = deadline - clock.now() - looks - policy.observeMs - policy.stopGraceMs;
      const ids = this.#jobs.handedTo(lease);
      if (ids.length > 0) await this.#jobs.end(lease, ids, "interrupted", Math.min(spare, policy.jobGraceMs + 2_000));
    }
    const left = Math.max(1_000, Math.min(policy.stopGraceMs + policy.observeMs, deadline - clock.now() - looks));
    const stopped = await this.#call(left, "stop", (bound) =>
      provider.stop(this.#target(lease), policy.stopGraceMs, bound),
    );
    if (stopped.ok || stopped.failure.code === "not_found") return null;
    return `${stopped.failure.code}: ${stopped.failure.message}`;
  }

  async #retire(lease: Stopping): Promise<Retirement | null> {
    const provider = this.#provider(lease);
    if (provider === null) return null;
    const { clock, policy } = this.#ports;
    const retired = await this.#call(policy.observeMs, "retire", (bound) =>
      provider.retire(this.#target(lease), bound),
    );
    return retired.ok ? { at: clock.now(), host: retired.value.host, boot: retired.value.boot } : null;
  }

  /** The second look is worth its while only when the first said absent. */
  async #lookTwice(lease: Stopping): Promise<readonly Observation[]> {
    const { clock, policy } = this.#ports;
    const first = await this.#look(lease);
    if (first.answer !== "absent") return [first];
    await clock.sleep(Math.max(0, first.beganAt + policy.absenceLookGapMs - clock.now()));
    return [first, await this.#look(lease)];
  }

  /** Parked: no more kills. Retiring is no kill, and without it no look could ever prove anything. */
  async #probe(generation: Generation): Promise<void> {
    if (this.#dispatch({ type: "probeStarted", generation }).type !== "moved") return;
    const lease = this.#lease(generation);
    if (lease?.phase !== "stopping") return;
    const retired = await this.#retire(lease);
    const settledAt = this.#ports.clock.now();
    const looks = await this.#lookTwice(lease);
    this.#closed(
      generation,
      this.#dispatch({ type: "probeFinished", generation, retired, looks, settledAt }).type === "moved",
      lease,
    );
  }

  /** After the receipt: what is left on disk. Failing is harmless; the sandbox id is never used again. */
  #closed(generation: Generation, moved: boolean, lease: Stopping): void {
    if (!moved || this.#lease(generation) !== null) return;
    const provider = this.#provider(lease);
    if (provider === null) return;
    void this.#call(this.#ports.policy.observeMs, "destroy", (bound) =>
      provider.destroy(this.#target(lease), bound),
    ).then((result) => {
      if (!result.ok)
        this.#ports.logger.warn("could not remove a sandbox's files", {
          sandbox: lease.sandboxId,
          code: result.failure.code,
        });
    });
  }

  // --- giving back and forgetting ----------------------------------------------------------------------------------

  async #cancel(generation: Generation): Promise<void> {
    const session = this.#session();
    try {
      const answer = await bounded(this.#ports.clock, this.#ports.policy.observeMs, () =>
        this.#ports.tenant(session.tenant).cancelReservation(session.id, generation),
      );
      if (answer !== timedOut) this.#dispatch({ type: "reservationCancelled", generation });
    } catch (error) {
      this.#ports.logger.warn("could not cancel a reservation", { error: String(error) });
    }
  }

  /** Replaced by the engine, which knows how to report the erasure first. */
  onErase: () => Promise<void> = () => Promise.resolve();

  #erase(): Promise<void> {
    return this.onErase();
  }
}

export function quotaWords({ limit, used }: QuotaRefusal): string {
  return `The tenant may have ${limit} sandboxes at once and has ${used}.`;
}
