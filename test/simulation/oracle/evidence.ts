/** What the provider really answered, kept beside what is stored: a record may claim only what somebody was told. */
import type { SeenHeld, SeenLook, SeenOpenLease, SeenRetirement, SeenSession, Timers } from "./model.ts";
import type { ClockJumps } from "./disturbances.ts";

type Look = Omit<SeenLook, "residue">;

interface Answers {
  readonly looks: Look[];
  readonly retirements: { readonly host: string; readonly boot: string }[];
  /** When the last renewal to it was sent, by the true clock; null: none was. */
  lastSentElapsed: number | null;
  /** Its instance has accepted a renewal. */
  accepted: boolean;
}

export class Evidence {
  readonly #answers = new Map<string, Answers>();
  /** Instances that a launch was sent for, unless the provider has said that nothing came of it. */
  readonly #started = new Set<string>();
  /** Reads what happened in the world since it was last read. */
  catchUp: () => void = () => {};

  looked(look: Look): void {
    const { answer, provider, host, boot, sandboxId, generation, beganAt } = look;
    this.#of(sandboxId).looks.push({ answer, provider, host, boot, sandboxId, generation, beganAt });
  }

  acknowledged(sandboxId: string, { host, boot }: { readonly host: string; readonly boot: string }): void {
    this.#of(sandboxId).retirements.push({ host, boot });
  }

  launchSent(instanceId: string): void {
    this.#started.add(instanceId);
  }

  launchRefused(instanceId: string): void {
    this.#started.delete(instanceId);
  }

  mayHaveStarted(instanceId: string): boolean {
    return this.#started.has(instanceId);
  }

  renewalSent(sandboxId: string, elapsed: number): void {
    this.#of(sandboxId).lastSentElapsed = elapsed;
  }

  renewalAccepted(sandboxId: string): void {
    this.#of(sandboxId).accepted = true;
  }

  wasAccepted(sandboxId: string): boolean {
    this.catchUp();
    return this.#answers.get(sandboxId)?.accepted === true;
  }

  lastSent(sandboxId: string): number | null {
    return this.#answers.get(sandboxId)?.lastSentElapsed ?? null;
  }

  saw(look: Look): boolean {
    return this.#looks(look.sandboxId).some(
      (each) =>
        each.answer === look.answer &&
        each.beganAt === look.beganAt &&
        each.host === look.host &&
        each.boot === look.boot &&
        each.generation === look.generation &&
        each.provider === look.provider,
    );
  }

  sawAbsent(sandboxId: string, since: number): boolean {
    return this.#looks(sandboxId).some((look) => look.answer === "absent" && look.beganAt >= since);
  }

  retired(sandboxId: string, _generation: number, { host, boot }: SeenRetirement): boolean {
    const known = this.#answers.get(sandboxId)?.retirements ?? [];
    return known.some((each) => each.host === host && each.boot === boot);
  }

  #looks(sandboxId: string): readonly Look[] {
    return this.#answers.get(sandboxId)?.looks ?? [];
  }

  #of(sandboxId: string): Answers {
    const known = this.#answers.get(sandboxId);
    if (known !== undefined) return known;
    const fresh: Answers = { looks: [], retirements: [], lastSentElapsed: null, accepted: false };
    this.#answers.set(sandboxId, fresh);
    return fresh;
  }
}

/** Moves that need a reason outside the session: somebody must have said so. */
export function unfoundedMoves(
  before: SeenSession,
  after: SeenSession,
  evidence: Evidence,
  timers: Timers,
  clock: { readonly now: number; readonly elapsed: number; readonly jumps: ClockJumps },
): readonly string[] {
  const found: string[] = [];
  const { newest } = before;
  const now = after.newest;
  const opened = now?.phase === "launching" && newest?.generation !== now.generation;
  if (opened && !evidence.sawAbsent(now.sandboxId, Number.NEGATIVE_INFINITY))
    found.push(`I4: generation ${now.generation} was opened though nobody saw its sandbox absent`);
  if (now?.phase === "held" && newest?.phase === "launching" && !evidence.wasAccepted(now.sandboxId))
    found.push(`I2: generation ${now.generation} is held though its instance accepted no lease`);
  // A launch whose fate nobody knows is given up only once it was seen absent past the instant until which it could land.
  const givenUp = newest?.phase === "launching" && newest.step.type === "confirming" && now?.phase === "stopping";
  if (givenUp && now.generation === newest.generation && now.reason === "launch_failed")
    if (!evidence.sawAbsent(now.sandboxId, newest.launchNotAfter))
      found.push(`I4: the launch of generation ${now.generation} is given up though nobody saw it absent`);
  if (newest?.phase === "held") found.push(...lossWithoutEvidence(newest, after, evidence, timers, clock));
  for (const ghost of after.ghosts) {
    if (newest?.generation !== ghost.generation) continue;
    found.push(...replacedTooSoon(newest as SeenOpenLease, evidence, timers, clock));
  }
  return found;
}

/** A held sandbox is lost by what was seen or was not answered, never by what nobody knows (I4). */
function lossWithoutEvidence(
  lease: SeenHeld,
  after: SeenSession,
  evidence: Evidence,
  timers: Timers,
  { now }: { readonly now: number },
): readonly string[] {
  const stopping = after.newest?.generation === lease.generation ? after.newest : null;
  if (stopping?.phase !== "stopping") return [];
  const { generation, sandboxId, heldAt, acceptedSentAt } = lease;
  // A clock that went back moves both to where it stands now.
  const since = Math.min(heldAt, acceptedSentAt, now);
  if (stopping.reason === "lost" && !evidence.sawAbsent(sandboxId, since))
    return [`I4: generation ${generation} is taken for lost though nobody saw it absent`];
  if (stopping.reason === "lapsed" && now < acceptedSentAt + timers.leaseTtlMs + timers.stopGraceMs)
    return [`I4: generation ${generation} lapsed before its lease had run out`];
  return [];
}

/** By the last renewal that was really sent: until its lease has run out, with grace and slip, its instance may act. */
function replacedTooSoon(
  lease: SeenOpenLease,
  evidence: Evidence,
  timers: Timers,
  { elapsed, jumps }: { readonly elapsed: number; readonly jumps: ClockJumps },
): readonly string[] {
  const sent = evidence.lastSent(lease.sandboxId);
  if (sent === null) return [];
  const certain = sent + timers.leaseTtlMs + timers.stopGraceMs + timers.alarmSlipMs - jumps.movedSince(sent);
  if (elapsed >= certain) return [];
  return [
    `I2: generation ${lease.generation} was replaced ${certain - elapsed} ms before its lease had certainly run out`,
  ];
}
