/** Opening a lease: quota, room, a look at the new sandbox id, then the launch, each stored before it is done. */
import { isSpaceRefusal, type SpaceRefusal } from "../domain/cold-admission.ts";
import type { OpeningFailure } from "../domain/events.ts";
import { failed } from "../domain/failure.ts";
import { isolatedSandboxId, type AttemptId, type Generation, type InstanceId } from "../domain/ids.ts";
import type { Candidate } from "../domain/lease.ts";
import { openingMs } from "../domain/policy.ts";
import type { Session } from "../domain/session.ts";
import { bounded, timedOut } from "./bounded.ts";
import type { SessionPorts } from "./ports.ts";
import type { ProviderCalls } from "./provider-calls.ts";
import type { ReserveOrder, ReserveReply } from "./reports.ts";
import type { LaunchSecrets, SessionSecrets } from "./secrets.ts";
import { Room } from "./room.ts";

type NotReserved = Exclude<ReserveReply, { granted: true } | { code: "stale_generation" }>;

/** A reservation that was refused, or for which there is no room. While its create still waits, nothing is kept of it; later it means waiting. */
export type Refusal = NotReserved | { readonly code: SpaceRefusal; readonly words: string };

type Reserved = Extract<ReserveReply, { granted: true }> | { readonly refused: OpeningFailure | NotReserved };

function noReply(what: string): Reserved {
  return { refused: { code: "unavailable", message: `The tenant's registry ${what}.` } };
}

export class Opening {
  readonly #ports: SessionPorts;
  readonly #calls: ProviderCalls;
  readonly #secrets: SessionSecrets;
  readonly #room: Room;
  /** Set while a create waits for its first answer: a refusal then undoes the session instead of waiting. True: it was taken. */
  onRefused: (refusal: Refusal) => boolean = () => false;
  /** As above, when the registry knows of generations up to `above`: an earlier session of this id. True: it was taken. */
  onPassed: (above: number) => boolean = () => false;

  constructor(ports: SessionPorts, calls: ProviderCalls, secrets: SessionSecrets) {
    this.#ports = ports;
    this.#calls = calls;
    this.#secrets = secrets;
    this.#room = new Room(ports, calls);
  }

  async open(): Promise<void> {
    const session = this.#calls.session();
    const { desired } = session;
    if (desired.type !== "running" || desired.provision === null) return;
    const { ids, clock, policy } = this.#ports;
    const minted = desired.provision.candidate ?? this.#mint(session);
    const attemptId = this.#calls.attempt();
    const deadline = clock.now() + openingMs(policy);
    const started = this.#calls.dispatch({ type: "openingStarted", attemptId, candidate: minted, deadline });
    if (started.type !== "moved") return;
    const fail = (failure: OpeningFailure) =>
      void this.#calls.dispatch({ type: "openingFailed", attemptId, failure, jitter: ids.random() });

    // Before anything is reserved or touched: without its env it could not be launched.
    const asked = this.#secrets.launch(session.id);
    const secrets = asked instanceof Promise ? await asked : asked;
    if (!secrets.ok) {
      fail({ code: "env_unreadable", message: unreadableEnv(secrets.why) });
      return;
    }
    const reserved = await this.#reserve(session, minted);
    if ("refused" in reserved) {
      const { refused } = reserved;
      if ("granted" in refused && this.onRefused(refused)) return;
      if (refused.code === "stale_generation" && this.onPassed(refused.above ?? 0)) return;
      fail("granted" in refused ? waitsFor(refused, this.#ports.clock.now()) : refused);
      return;
    }
    // Joined with the reservation, before anything is launched: until that is released it is a member.
    const { container } = reserved;
    const joined = container === undefined ? {} : { container };
    const candidate: Candidate = { ...minted, ...joined };
    const unready = await this.#room.make(candidate, attemptId);
    if (unready !== null) {
      const { code, message } = unready;
      if (isSpaceRefusal(code) && this.onRefused({ code, words: message })) return;
      fail(unready);
      return;
    }
    const observation = await this.#calls.look(candidate);
    if (observation.answer === "present") {
      this.#calls.dispatch({ type: "orphanFound", candidate, observation });
      return;
    }
    if (observation.answer === "unknown") {
      fail({
        code: "unavailable",
        message: `The provider cannot say whether the new sandbox id is free: ${observation.detail}`,
      });
      return;
    }
    const launchAttemptId = this.#calls.attempt();
    const opened = this.#calls.dispatch({ type: "leaseOpened", attemptId, launchAttemptId, observation, ...joined });
    if (opened.type === "moved") await this.#launch(candidate.generation, launchAttemptId, secrets.value);
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

  async #reserve(session: Session, candidate: Candidate): Promise<Reserved> {
    const { generation, sandboxId, provider } = candidate;
    const provision = session.desired.type === "running" ? session.desired.provision : null;
    const purpose = provision?.purpose ?? "create";
    const shared = provision?.unusable === undefined ? { provider } : { provider, unusable: provision.unusable };
    const order: ReserveOrder = {
      ...{ sessionId: session.id, generation, sandboxId, createdAt: session.createdAt, purpose },
      ...(session.isolation === "shared" ? { shared } : {}),
    };
    try {
      const reply = await bounded(this.#ports.clock, this.#ports.policy.observeMs, () =>
        this.#ports.tenant(session.tenant).reserve(order),
      );
      if (reply === timedOut) return noReply("did not answer");
      if (reply.granted) return reply;
      if (reply.code !== "stale_generation") return { refused: reply };
      const message = "That generation was used before.";
      return { refused: { code: "stale_generation", message, above: reply.above } };
    } catch (error) {
      this.#ports.logger.warn("reserve failed", { error: String(error) });
      return noReply("could not be reached");
    }
  }

  async relaunch(generation: Generation): Promise<void> {
    const attemptId = this.#calls.attempt();
    if (this.#calls.dispatch({ type: "launchStarted", generation, attemptId }).type !== "moved") return;
    const asked = this.#secrets.launch(this.#calls.session().id);
    const secrets = asked instanceof Promise ? await asked : asked;
    if (secrets.ok) return this.#launch(generation, attemptId, secrets.value);
    const failure = { code: "unavailable", message: unreadableEnv(secrets.why), effect: "none" } as const;
    const jitter = this.#ports.ids.random();
    this.#calls.dispatch({ type: "launchFailed", generation, attemptId, failure, jitter });
  }

  async #launch(generation: Generation, attemptId: AttemptId, secrets: LaunchSecrets): Promise<void> {
    const lease = this.#calls.lease(generation);
    if (lease?.phase !== "launching") return;
    const { ids, policy } = this.#ports;
    const { snapshot } = this.#calls.session();
    const provider = this.#calls.provider(lease);
    const result =
      provider === null
        ? failed("unsupported", `No adapter for provider ${lease.provider} is wired.`, "none")
        : await this.#calls.call(policy.launchCallMs, "launch", (bound) =>
            provider.launch(
              {
                sessionId: this.#calls.session().id,
                sandboxId: lease.sandboxId,
                ...(lease.container === undefined ? {} : { container: lease.container }),
                instanceId: lease.instanceId,
                generation,
                secret: lease.secret,
                launchNotAfter: lease.launchNotAfter,
                leaseTtlMs: policy.leaseTtlMs,
                jobGraceMs: policy.jobGraceMs,
                stopGraceMs: policy.stopGraceMs,
                env: secrets.env,
                ...(snapshot === null ? {} : { restore: snapshot.id }),
              },
              bound,
            ),
          );
    if (result.ok) this.#calls.dispatch({ type: "launchSucceeded", generation, attemptId, host: result.value.host });
    else
      this.#calls.dispatch({
        type: "launchFailed",
        generation,
        attemptId,
        failure: result.failure,
        jitter: ids.random(),
      });
  }

  /**
   * For a create that is undone before anything of it was launched. Tried once: a reservation whose session has no record is
   * asked about, and given back, by its registry.
   */
  async cancelCandidate(): Promise<void> {
    const { desired } = this.#calls.session();
    const candidate = desired.type === "running" ? desired.provision?.candidate : null;
    if (candidate != null) await this.cancel(candidate.generation);
  }

  /** A reservation that no lease came of is given back. */
  async cancel(generation: Generation): Promise<void> {
    const session = this.#calls.session();
    try {
      const answer = await bounded(this.#ports.clock, this.#ports.policy.observeMs, () =>
        this.#ports.tenant(session.tenant).cancelReservation(session.id, generation),
      );
      if (answer !== timedOut) this.#calls.dispatch({ type: "reservationCancelled", generation });
    } catch (error) {
      this.#ports.logger.warn("could not cancel a reservation", { error: String(error) });
    }
  }
}

function unreadableEnv(why: string): string {
  return `The env of this session cannot be read: ${why}. It is kept, and tried again.`;
}

/** Each of them passes: the session stays, and asks again. Only the tenant's own cap is the tenant's to mend. */
function waitsFor(refusal: NotReserved, now: number): OpeningFailure {
  const message = refusalWords(refusal);
  if (refusal.code === "quota_exhausted") return { code: "quota_exhausted", message };
  if (refusal.code !== "spawn_breaker_open") return { code: "no_capacity", message };
  return { code: "no_capacity", message, retryAfterMs: Math.max(0, refusal.closesAt - now) };
}

export function refusalWords(refusal: Refusal): string {
  switch (refusal.code) {
    case "quota_exhausted":
      return `The tenant may have ${refusal.limit} sandboxes at once and has ${refusal.used}.`;
    case "capacity_exhausted":
      return `All tenants together may have ${refusal.limit} sandboxes at once and have ${refusal.used}.`;
    case "spawn_breaker_open":
      return "The tenant's last launches failed one after the other, so launches are paused.";
    case "insufficient_space":
    case "space_unmeasurable":
    case "filesystem_unusable":
      return refusal.words;
    case "draining":
      return "An operator is emptying this Mooring: what runs may finish, nothing new is started.";
  }
}
