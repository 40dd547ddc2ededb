/**
 * The main job as a story: a session opens, works, goes idle and is killed by its idle clock; another is deleted while a
 * job refuses to die; both leave a receipt; the host finds nothing left. Every claim on the screen was read from the API
 * or from the host at that moment, and what does not hold ends the story with an error.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { EventView } from "../../src/protocol/resources/session/events.ts";
import type { SessionView, TeardownView } from "../../src/protocol/resources/session/sessions.ts";
import type { Stack } from "../stack/stack.ts";
import { Api, type OutputEnd } from "../stack/api.ts";
import { type Figures, megabytes } from "./figures.ts";
import { weigh, type Weight } from "./processes.ts";
import { reach } from "./reach.ts";
import { receiptTable } from "./receipt.ts";
import { bad, bar, bold, chapter, clock, dim, good, line, renew, say, seconds, settle, span, timed } from "./stage.ts";

/** Short clocks, so that a life fits in a minute; they obey the same rules as the defaults. */
export interface Clocks {
  readonly leaseSeconds: number;
  readonly renewSeconds: number;
  readonly lookSeconds: number;
  readonly idleSeconds: number;
}

export const shortClocks: Clocks = { leaseSeconds: 8, renewSeconds: 2, lookSeconds: 2, idleSeconds: 6 };
/** For a machine that is busy with something else: there a lease of 8 s may be lost between two renewals. */
export const patientClocks: Clocks = { leaseSeconds: 40, renewSeconds: 5, lookSeconds: 10, idleSeconds: 12 };

const sameVars = {
  ALARM_SLIP_SECONDS: "0",
  JOB_GRACE_SECONDS: "1",
  STOP_GRACE_SECONDS: "3",
  // Whoever follows a story or a test closely asks more often than a tenant should.
  RATE_LIMIT_READS: "off",
  RATE_LIMIT_WRITES: "off",
  RATE_LIMIT_TRAFFIC: "off",
} as const;
const stopGraceMs = Number(sameVars.STOP_GRACE_SECONDS) * 1_000;

type StackClocks = Omit<Clocks, "idleSeconds">;

/** The vars of a stack that runs by these clocks. The tests have clocks of their own: `calmVars` in test/support/temporary-stack.ts. */
export function varsOf({ leaseSeconds, renewSeconds, lookSeconds }: StackClocks): Readonly<Record<string, string>> {
  return {
    ...sameVars,
    LEASE_TTL_SECONDS: `${leaseSeconds}`,
    LEASE_RENEW_SECONDS: `${renewSeconds}`,
    OBSERVE_TIMEOUT_SECONDS: `${lookSeconds}`,
  };
}

/** Several renewals, late ones among them. */
const idlingWithinMs = 30_000;

interface Ended {
  readonly session: SessionView;
  readonly receipt: TeardownView;
}

/** A promise of the product that did not hold. */
export class Surprise extends Error {}

export class Story {
  readonly #stack: Stack;
  readonly #api: Api;
  readonly #key: string;
  readonly #idleSeconds: number;
  readonly #signal: AbortSignal;
  readonly sessions = new Set<string>();
  #launchToHealthyMs: number | null = null;

  constructor(stack: Stack, key: string, { idleSeconds }: Clocks, signal: AbortSignal) {
    this.#stack = stack;
    this.#api = new Api(stack.url, key, signal);
    this.#key = key;
    this.#idleSeconds = idleSeconds;
    this.#signal = signal;
  }

  async tell(): Promise<Figures> {
    chapter(1, "A session opens");
    const first = await this.#open({ idle_timeout_seconds: this.#idleSeconds, labels: { story: "idle" } });
    // Its idle clock is short, so that the fourth chapter is. On a slow machine what comes before takes longer than that.
    const awake = setInterval(
      () => void this.#api.keepalive(first.id).catch(() => {}),
      (this.#idleSeconds * 1_000) / 4,
    );
    try {
      await this.#use(first);
    } finally {
      clearInterval(awake);
    }

    chapter(4, "Nobody uses it, and its idle clock runs out");
    const idle = await this.#watchIdle(first);

    chapter(5, "One that does not want to go");
    const deleted = await this.#deleteStubborn();

    chapter(6, "What each left behind");
    say(receiptTable("killed by its idle clock", idle.session, idle.receipt));
    say(receiptTable("deleted while its job ignored SIGTERM", deleted.session, deleted.receipt));

    chapter(7, "What is left of them");
    await this.#countProcesses();

    const launchToHealthyMs = this.#launchToHealthyMs;
    if (launchToHealthyMs === null) throw new Surprise("No event told when the first launch began.");
    const { wrapperAndGuardian, idleToAbsentMs } = idle;
    return { launchToHealthyMs, wrapperAndGuardian, idleToAbsentMs, stopGraceMs };
  }

  async #use(session: SessionView): Promise<void> {
    await this.#processes(session);

    chapter(2, "It works");
    await this.#work(session, 'for step in 1 2 3 4 5; do echo "step $step of 5"; sleep 0.3; done', "succeeded");
    await this.#work(session, 'echo "cannot find the branch" >&2; exit 3', "failed");

    chapter(3, "It is reached: files, a terminal, a server");
    await this.#reach(session);
  }

  async #open(order: { idle_timeout_seconds: number; labels: Record<string, string> }): Promise<SessionView> {
    const since = performance.now();
    const created = await this.#api.create(order);
    this.sessions.add(created.id);
    timed(since, `session ${bold(created.id)} asked for, ${created.status}`);
    let launchingAt: number | null = null;
    for await (const event of this.#api.events(created.id)) {
      timed(since, describe(event));
      if (event.type === "launching") launchingAt = Date.parse(event.at);
      if (event.type === "running" || event.to === "failed") {
        if (launchingAt !== null) this.#launchToHealthyMs ??= Date.parse(event.at) - launchingAt;
        break;
      }
    }
    const session = await this.#api.session(created.id);
    if (session.status !== "running")
      throw new Surprise(`Session ${created.id} is ${session.status}, not running: ${session.failure ?? ""}`);
    return session;
  }

  /** One guardian and one wrapper, and what they weigh; once the sandbox was reached, also the process that serves files and programs. */
  async #processes(session: SessionView, wasReached = false): Promise<Weight> {
    const mine = (await this.#stack.residue()).filter((each) => each.session_id === session.id);
    const weights = mine.filter((each) => each.kind !== "job").map((each) => weigh(each.pid));
    const sum = (of: (weight: Weight) => number): number => weights.reduce((total, each) => total + of(each), 0);
    const together = { resident: sum((each) => each.resident), own: sum((each) => each.own) };
    const names = mine.map((each) => `${each.kind === "job" ? "service process" : each.kind} ${each.pid}`).join(", ");
    line(`Real processes on this machine: ${names}`);
    line(`Guardian and wrapper: ${megabytes(together.resident)} resident together`);
    const expected = wasReached ? "guardian,job,wrapper" : "guardian,wrapper";
    const found = mine.map((each) => each.kind).toSorted();
    if (found.join() !== expected) throw new Surprise(`Expected ${expected}, found ${names || "nothing"}.`);
    return together;
  }

  async #work(session: SessionView, command: string, expected: OutputEnd["state"]): Promise<void> {
    const since = performance.now();
    const job = await this.#api.run(session.id, { command });
    line(`${dim("$")} ${command}`);
    const output = this.#api.output(session.id, job.id);
    for (;;) {
      const next = await output.next();
      if (next.done === true) {
        const { state, exit_code: exitCode } = next.value;
        const mark = state === "succeeded" ? good(state) : bad(state);
        line(`${dim("└")} ${mark}, exit code ${exitCode}, ${seconds(performance.now() - since)}`);
        if (state !== expected) throw new Surprise(`The job ${state}; ${expected} was to be expected.`);
        return;
      }
      for (const text of next.value.trimEnd().split("\n")) {
        line(`${dim("│")} ${dim(`${seconds(performance.now() - since).padStart(6)}`)}  ${text}`);
      }
    }
  }

  /** What a person sees of it in the console, over the same routes. */
  async #reach({ id }: SessionView): Promise<void> {
    const reached = await reach({ url: this.#stack.url, key: this.#key, id, signal: this.#signal });
    this.#shown(id, "files");
    for (const text of reached) line(text);
  }

  /** Where the console shows this. */
  #shown(id: string, tab: string): void {
    line(dim(`${this.#stack.url}/console/sessions/${id}?tab=${tab}`));
  }

  async #watchIdle(session: SessionView): Promise<Ended & Pick<Figures, "wrapperAndGuardian" | "idleToAbsentMs">> {
    const { idle_at: idleAt, end_at: endAt, expires_at: expiresAt } = await this.#idling(session.id);
    if (idleAt === null) throw new Surprise("Nothing runs, yet the session has no idle_at.");
    line(`end_at      ${clock(endAt)}, in ${span(Date.parse(endAt) - Date.now())}: moves only when a client asks`);
    line(`idle_at     ${clock(idleAt)}, in ${span(Date.parse(idleAt) - Date.now())}: slides with every job`);
    line(`expires_at  ${clock(expiresAt ?? idleAt)}: the earliest of all clocks`);
    const wrapperAndGuardian = await this.#processes(session, true);
    const deadline = Date.parse(idleAt);
    for (let left = deadline - Date.now(); left > 0; left = deadline - Date.now()) {
      renew(`idle  ${bar(left / (this.#idleSeconds * 1_000))}  ${(left / 1_000).toFixed(1)} s`);
      await pause(Math.min(100, left), undefined, { signal: this.#signal });
    }
    settle();
    const since = performance.now() - (Date.now() - deadline);
    const ended = await this.#watchEnd(session.id, since, "idle_timeout");
    const idleToAbsentMs = Date.parse(ended.receipt.verified_absent_at ?? "") - deadline;
    line(`${good("Proven gone")} ${seconds(idleToAbsentMs)} after the idle deadline.`);
    return { ...ended, wrapperAndGuardian, idleToAbsentMs };
  }

  /** That the server of the chapter before has ended is told by a renewal: until then the session counts as in use. */
  async #idling(id: string): Promise<SessionView> {
    const until = performance.now() + idlingWithinMs;
    for (;;) {
      const session = await this.#api.session(id);
      if (session.idle_at !== null || performance.now() > until) return session;
      await pause(200, undefined, { signal: this.#signal });
    }
  }

  async #deleteStubborn(): Promise<Ended> {
    const session = await this.#open({ idle_timeout_seconds: 300, labels: { story: "stubborn" } });
    const command = [
      "trap '' TERM",
      "setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" &",
      "echo 'I ignore SIGTERM, and so does my child in a session of its own.'",
      "while :; do sleep 1; done",
    ].join("\n");
    const job = await this.#api.run(session.id, { command });
    for (const text of command.split("\n")) line(`${dim("$")} ${text}`);
    const output = this.#api.output(session.id, job.id);
    const words = await output.next();
    if (words.done === true) throw new Surprise(`The stubborn job ended at once: ${words.value.state}.`);
    line(`${dim("│")} ${words.value.trimEnd()}`);
    const running = (await this.#stack.residue()).filter((each) => each.session_id === session.id);
    line(`${running.length} processes carry its mark. DELETE /v1/sessions/${session.id}`);
    const since = performance.now();
    const reply = await this.#api.delete(session.id);
    timed(since, `answered at once: ${reply.status}`);
    const ended = await this.#watchEnd(session.id, since, "requested");
    const after = await this.#api.job(session.id, job.id);
    line(
      `${good("Proven gone")} ${seconds(performance.now() - since)} after the request. Its job is reported as ${bold(after.state)}.`,
    );
    return ended;
  }

  /** Shows the events from the end on until the session is terminated. */
  async #watchEnd(id: string, since: number, reason: SessionView["terminate_reason"]): Promise<Ended> {
    let ending = false;
    for await (const event of this.#api.events(id)) {
      ending ||= event.to === "terminating";
      if (ending) timed(since, describe(event));
      if (event.to === "terminated" || event.to === "failed") break;
    }
    const session = await this.#api.session(id);
    const receipt = await this.#api.receipt(id);
    if (session.status !== "terminated") throw new Surprise(`Session ${id} is ${session.status}, not terminated.`);
    if (session.terminate_reason !== reason)
      throw new Surprise(`It ended for ${session.terminate_reason}, not for ${reason}.`);
    if (receipt.phase !== "closed" || receipt.verified_absent_at === null || receipt.evidence === null) {
      throw new Surprise(`Session ${id} has no complete receipt (${receipt.phase}).`);
    }
    return { session, receipt };
  }

  async #countProcesses(): Promise<void> {
    const left = await this.#stack.residue(this.sessions);
    if (left.length > 0) {
      const names = left.map((each) => `${each.kind} ${each.pid} of session ${each.session_id}`).join(", ");
      throw new Surprise(`${left.length} processes are left: ${names}.`);
    }
    line(
      `${good("0 processes.")} The host looked at every process of this machine for a mark of these ${this.sessions.size} sessions.`,
    );
  }
}

function describe(event: EventView): string {
  const status = event.from === event.to ? "" : dim(`  ${event.from} → ${event.to}`);
  return `${bold(event.type.replaceAll("_", " ").padEnd(14))} ${event.cause}${status}`;
}
