/**
 * Ends the shared containers that nobody needs any more, the way a session ends its sandbox: the attempt is stored, then
 * retire, destroy, two looks, and what was seen goes to the machine, which judges it. Never throws.
 */
import { outcomeWithin } from "../../calls/outcome-within.ts";
import { generationOf, type StoppingContainer } from "../../domain/state/container.ts";
import type { ProviderResult } from "../../domain/state/failure.ts";
import type { AttemptId, ContainerId, SessionId } from "../../domain/state/ids.ts";
import type { Retirement } from "../../domain/state/lease.ts";
import type { Observation } from "../../domain/state/observation.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { AgentSandbox, CallBound, Containers, ContainerTarget } from "../../sandbox/agent-sandbox.ts";
import type { Clock, Ids, Logger } from "../../runtime/clock-ids-logger.ts";
import type { TenantCore } from "../tenant-core.ts";

export interface ContainerPorts {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly providers: { get(name: ProviderName): AgentSandbox | null };
  readonly policy: Policy;
  /** Tells a session that the container its sandbox was in is gone. May throw or hang. */
  poke(sessionId: SessionId, gone: ContainerId): Promise<unknown>;
}

export class ContainerKeeper {
  readonly #ports: ContainerPorts;
  readonly #core: TenantCore;
  /** Arms the alarm for what the core wants to be looked at, in the turn of the write before it. */
  readonly #stored: <T>(write: () => T) => Promise<T>;
  readonly #busy = new Set<ContainerId>();

  constructor(ports: ContainerPorts, core: TenantCore, stored: <T>(write: () => T) => Promise<T>) {
    this.#ports = ports;
    this.#core = core;
    this.#stored = stored;
  }

  /** Every attempt that is due, side by side; one at a time for each container. */
  async work(): Promise<void> {
    const due = await this.#stored(() => this.#core.containers.takeDue(() => this.#ports.ids.random(), attemptsAtOnce));
    await Promise.all(due.map((container) => this.#end(container)));
  }

  async #end({ id }: StoppingContainer): Promise<void> {
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    const { clock, ids, logger } = this.#ports;
    const attemptId = ids.id() as AttemptId;
    try {
      const begun = await this.#stored(() => this.#core.containers.beginAttempt(id, attemptId));
      if (begun === null) return;
      const { retired, error } = await this.#destroy(begun);
      const settledAt = clock.now();
      const looks = await this.#lookTwice(begun);
      const result = { attemptId, retired, looks, settledAt, error, jitter: ids.random() };
      const after = await this.#stored(() => this.#core.containers.attemptFinished(id, result));
      if (after?.phase === "gone") {
        logger.info("a shared container is gone", { container: id, reason: after.reason });
        await this.#tellMembers(id);
      } else if (after?.phase === "stopping")
        logger.warn("a shared container is not gone yet", {
          container: id,
          attempt: after.attempts,
          error: after.lastError,
        });
    } catch (error) {
      // The attempt's deadline is stored and the alarm stands: the next one comes by itself.
      logger.error("ending a shared container failed", { container: id, error: String(error) });
    } finally {
      this.#busy.delete(id);
    }
  }

  /** Its members can be proven gone now: they need not wait for their own next try. One that is not reached makes that try. */
  async #tellMembers(id: ContainerId): Promise<void> {
    const members = this.#core.containers.container(id)?.members ?? [];
    const { policy } = this.#ports;
    const sessions = new Set(members.map(({ sessionId }) => sessionId));
    await Promise.all(
      [...sessions].map((session) => this.#answer(policy.observeMs, () => this.#ports.poke(session, id))),
    );
  }

  async #destroy(
    container: StoppingContainer,
  ): Promise<{ readonly retired: Retirement | null; readonly error: string | null }> {
    const { clock, policy } = this.#ports;
    const containers = this.#containersOf(container);
    if (containers === null)
      return { retired: null, error: `No adapter for shared containers of ${container.provider} is wired.` };
    const target = targetOf(container);
    const reply = await this.#call(policy.observeMs, (bound) => containers.retire(target, bound));
    if (!reply.ok) return { retired: null, error: `not retired: ${reply.failure.code}: ${reply.failure.message}` };
    const retired: Retirement = { at: clock.now(), host: reply.value.host, boot: reply.value.boot };
    const destroyed = await this.#call(policy.stopAttemptMs, (bound) => containers.destroy(target, bound));
    if (destroyed.ok || destroyed.failure.code === "not_found") return { retired, error: null };
    return { retired, error: `not destroyed: ${destroyed.failure.code}: ${destroyed.failure.message}` };
  }

  /** The second look is worth its while only when the first said absent. */
  async #lookTwice(container: StoppingContainer): Promise<readonly Observation[]> {
    const { clock, policy } = this.#ports;
    const first = await this.#look(container);
    if (first?.answer !== "absent") return first === null ? [] : [first];
    // Not until an instant: a clock that goes back meanwhile would make that a wait of hours.
    await clock.sleep(policy.absenceLookGapMs);
    const second = await this.#look(container);
    return second === null ? [first] : [first, second];
  }

  /** null: nobody could be asked, or nobody answered. */
  async #look(container: StoppingContainer): Promise<Observation | null> {
    const { clock, policy } = this.#ports;
    const containers = this.#containersOf(container);
    if (containers === null) return null;
    const beganAt = clock.now();
    const answer = await this.#answer(policy.observeMs, (bound) =>
      containers.observe(targetOf(container), beganAt, bound),
    );
    return answer === null ? null : { ...answer, residue: answer.residue.slice(0, residueKept) };
  }

  #containersOf({ provider }: StoppingContainer): Containers | null {
    return this.#ports.providers.get(provider)?.containers ?? null;
  }

  async #call<T>(ms: number, call: (bound: CallBound) => Promise<ProviderResult<T>>): Promise<ProviderResult<T>> {
    const answer = await this.#answer(ms, call);
    if (answer !== null) return answer;
    return { ok: false, failure: { code: "timed_out", message: `no answer within ${ms} ms`, effect: "unknown" } };
  }

  /** null: no answer in time, or the call threw. */
  async #answer<T>(timeoutMs: number, call: (bound: CallBound) => Promise<T>): Promise<T | null> {
    const answer = await outcomeWithin(this.#ports.clock, timeoutMs, call);
    if (answer.type === "answered") return answer.value;
    // The port promises not to throw. A provider that throws has told nothing.
    if (answer.type === "failed")
      this.#ports.logger.error("a provider threw", { what: "shared container", error: answer.message });
    return null;
  }
}

/** Ends begun in one turn: the rest come in the next. */
const attemptsAtOnce = 8;
/** Of what a look found: it is stored. */
const residueKept = 16;

function targetOf(container: StoppingContainer): ContainerTarget {
  return { id: container.id, generation: generationOf(container), host: container.host };
}
