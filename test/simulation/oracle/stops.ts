/** Stops of one session over time: attempts are bounded, nothing resets them, and the waits between two are the policy's (I7). */
import type { ClockJumps } from "./disturbances.ts";
import { lane } from "./deadlines.ts";
import { openOf, type SeenSession, type SeenStopping, type Timers } from "./model.ts";

/** Times are by the true clock, so that a controller's clock that was set changes nothing but what it really did. */
interface Known {
  readonly lease: SeenStopping;
  /** When its first attempt could have begun, of this round. */
  readonly beganElapsed: number;
  /** When the last attempt was seen to end. */
  readonly endedElapsed: number | null;
}

export class StopWatch {
  readonly #timers: Timers;
  readonly #jumps: ClockJumps;
  readonly #elapsed: () => number;
  readonly #known = new Map<number, Known>();
  #putOffMs = 0;
  #unseen = false;
  /** The leases that may begin another round because somebody asked: each does so in a write of its own. */
  #mayRetry = new Set<number>();
  #askedUnseen = false;
  /** Since when an alarm may stand that was set before the rows could not be read: a clock set back since then delays it. */
  #armedElapsed = Number.POSITIVE_INFINITY;

  constructor(timers: Timers, jumps: ClockJumps, elapsed: () => number) {
    this.#timers = timers;
    this.#jumps = jumps;
    this.#elapsed = elapsed;
  }

  stored(session: SeenSession): readonly string[] {
    const found: string[] = [];
    for (const lease of openOf(session)) {
      if (lease.phase !== "stopping") continue;
      const before = this.#known.get(lease.generation) ?? null;
      if (before?.lease === lease) continue;
      if (before === null && this.#askedUnseen) this.#mayRetry.add(lease.generation);
      if (before !== null) found.push(...this.#faults(before, lease));
      else if (lease.attempts.length > 1 && !this.#unseen) found.push("I7: a stop began with more than one attempt");
      const acts = lease.attempts.at(-1)?.endedAt === null;
      const ended =
        before === null || acts ? null : endedNow(before.lease, lease) ? this.#elapsed() : before.endedElapsed;
      const newRound = before === null || lease.earlierAttempts > before.lease.earlierAttempts;
      if (newRound && before !== null) this.#mayRetry.delete(lease.generation);
      const beganElapsed = newRound ? this.#elapsed() : before.beganElapsed;
      const endedElapsed = acts ? (before?.endedElapsed ?? null) : ended;
      this.#known.set(lease.generation, { lease, beganElapsed, endedElapsed });
      if (lease.step.type !== "parked") found.push(...this.#lifetimeFaults(lease.generation, beganElapsed));
    }
    this.#unseen = false;
    this.#askedUnseen = false;
    return found;
  }

  /** Its rows could not be read for a while: what was attempted meanwhile is not known. */
  forget(): void {
    for (const { beganElapsed } of this.#known.values())
      this.#armedElapsed = Math.min(this.#armedElapsed, beganElapsed);
    this.#known.clear();
    this.#unseen = true;
  }

  /** An operator asks for another round: the one way in which a parked stop acts again, but for being seen alive after a word. */
  retryAsked(): void {
    this.#mayRetry = new Set(this.#known.keys());
    this.#askedUnseen = this.#unseen;
  }

  /** Something put off what is done for it: a round may last that much longer. */
  disturbed(ms: number): void {
    this.#putOffMs += ms;
  }

  /** A round ends: by proof, or parked. Attempts are bounded in number and in time, and so are the waits between them. */
  #lifetimeFaults(generation: number, beganElapsed: number): readonly string[] {
    const { stopAttempts, stopAttemptMs, alarmSlipMs, stopBackoffBaseMs, stopBackoffCapMs, stopBackoffJitter } =
      this.#timers;
    let bound = stopAttempts * (stopAttemptMs + lane(this.#timers) + alarmSlipMs);
    for (let failed = 1; failed < stopAttempts; failed += 1)
      bound += Math.min(stopBackoffCapMs, stopBackoffBaseMs * 2 ** (failed - 1)) * (1 + stopBackoffJitter);
    const lasts = this.#elapsed() - beganElapsed;
    const moved = this.#jumps.movedSince(Math.min(beganElapsed, this.#armedElapsed));
    const late = lasts - bound - moved - this.#putOffMs;
    return late > 0
      ? [`I7: the stop of generation ${generation} goes on ${late} ms after its attempts should be used up`]
      : [];
  }

  #faults(
    { lease: before, endedElapsed }: Pick<Known, "lease" | "endedElapsed">,
    after: SeenStopping,
  ): readonly string[] {
    const found: string[] = [];
    const { stopAttempts } = this.#timers;
    if (after.attempts.length > stopAttempts) found.push("I7: more stop attempts than allowed");
    const newRound = after.earlierAttempts > before.earlierAttempts;
    if (newRound && before.step.type !== "parked")
      found.push("I7: a new round began although the last one was not parked");
    const seenAlive = before.assertion !== null && after.assertion === null;
    if (newRound && !this.#mayRetry.has(after.generation) && !seenAlive)
      found.push("I7: a parked stop acts again, and nobody asked for it");
    if (newRound && after.earlierAttempts !== before.earlierAttempts + before.attempts.length)
      found.push("I7: attempts of an earlier round were not counted");
    if (after.attempts.length < before.attempts.length && !newRound) found.push("I7: stop attempts were forgotten");
    if (before.step.type === "parked" && after.step.type !== "parked" && !newRound)
      found.push("I7: a parked stop acts again by itself");
    if (after.step.type === "parked" && before.step.type !== "parked" && after.assertion === null) {
      if (after.attempts.length < stopAttempts) found.push(`I7: parked after ${after.attempts.length} attempts`);
    }
    const started = after.attempts.length > before.attempts.length;
    if (!started || newRound || after.attempts.length < 2 || endedElapsed === null) return found;
    const waited = this.#elapsed() - endedElapsed + this.#jumps.movedSince(endedElapsed);
    const shortest = this.#shortestWait(after.attempts.length - 1);
    if (waited < shortest - 1) found.push(`LEA-10: the next stop attempt came after ${waited} ms, not ${shortest}`);
    return found;
  }

  #shortestWait(failed: number): number {
    const { stopBackoffCapMs, stopBackoffBaseMs, stopBackoffJitter } = this.#timers;
    const plain = Math.min(stopBackoffCapMs, stopBackoffBaseMs * 2 ** (failed - 1));
    return Math.round(plain * (1 - stopBackoffJitter));
  }
}

function endedNow(before: SeenStopping, after: SeenStopping): boolean {
  return before.attempts.at(-1)?.endedAt === null && after.attempts.at(-1)?.endedAt !== null;
}
