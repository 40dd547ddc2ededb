/**
 * The main job as a story: a session opens, works, goes idle and is killed by its idle clock; another is deleted while a
 * job refuses to die; both leave a receipt; the host finds nothing left. Every claim on the screen was read from the API
 * or from the host at that moment, and what does not hold ends the story with an error.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { EventView } from "../../src/protocol/events.ts";
import type { CreateJob } from "../../src/protocol/jobs.ts";
import type { SessionView, TeardownView } from "../../src/protocol/sessions.ts";
import type { Stack } from "../stack/stack.ts";
import { Api, type OutputEnd } from "../stack/api.ts";
import { residentBytes } from "./processes.ts";
import { receiptTable } from "./receipt.ts";
import { bad, bar, bold, chapter, clock, dim, good, line, renew, say, seconds, settle, span, timed } from "./stage.ts";

/** Short clocks, so that a life fits in a minute; they obey the same rules as the defaults. */
export const demoVars = {
  LEASE_TTL_SECONDS: "8",
  LEASE_RENEW_SECONDS: "2",
  OBSERVE_TIMEOUT_SECONDS: "2",
  ALARM_SLIP_SECONDS: "0",
  JOB_GRACE_SECONDS: "1",
  STOP_GRACE_SECONDS: "3",
} as const;
const stopGraceMs = Number(demoVars.STOP_GRACE_SECONDS) * 1_000;
const idleSeconds = 6;

export interface Figures {
  launchToHealthyMs: number;
  wrapperAndGuardianBytes: number;
  idleToAbsentMs: number;
}

/** A promise of the product that did not hold. */
export class Surprise extends Error {}

export class Story {
  readonly #stack: Stack;
  readonly #api: Api;
  readonly #signal: AbortSignal;
  readonly sessions = new Set<string>();
  readonly figures: Partial<Figures> = {};

  constructor(stack: Stack, key: string, signal: AbortSignal) {
    this.#stack = stack;
    this.#api = new Api(stack.url, key, signal);
    this.#signal = signal;
  }

  async tell(): Promise<void> {
    chapter(1, "A session opens");
    const first = await this.#open({ idle_timeout_seconds: idleSeconds, labels: { story: "idle" } });
    await this.#weigh(first);

    chapter(2, "It works");
    await this.#work(first, 'for step in 1 2 3 4 5; do echo "step $step of 5"; sleep 0.3; done', "succeeded");
    await this.#work(first, 'echo "cannot find the branch" >&2; exit 3', "failed");

    chapter(3, "Nobody uses it, and its idle clock runs out");
    const idle = await this.#watchIdle(first);

    chapter(4, "One that does not want to go");
    const deleted = await this.#deleteStubborn();

    chapter(5, "What each left behind");
    say(receiptTable("killed by its idle clock", idle));
    say(receiptTable("deleted while its job ignored SIGTERM", deleted));

    chapter(6, "What is left of them");
    await this.#countProcesses();
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
        if (launchingAt !== null) this.figures.launchToHealthyMs ??= Date.parse(event.at) - launchingAt;
        break;
      }
    }
    const session = await this.#api.session(created.id);
    if (session.status !== "running")
      throw new Surprise(`Session ${created.id} is ${session.status}, not running: ${session.failure ?? ""}`);
    return session;
  }

  async #weigh(session: SessionView): Promise<void> {
    const mine = (await this.#stack.residue()).filter((each) => each.session_id === session.id);
    const bytes = mine.reduce((sum, each) => sum + residentBytes(each.pid), 0);
    this.figures.wrapperAndGuardianBytes = bytes;
    const names = mine.map((each) => `${each.kind} ${each.pid}`).join(", ");
    line(`Real processes on this machine: ${names}; ${(bytes / 1e6).toFixed(0)} MB together.`);
    if (mine.length !== 2) throw new Surprise(`Expected one guardian and one wrapper, found ${names || "nothing"}.`);
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

  async #watchIdle(session: SessionView): Promise<TeardownView> {
    const before = await this.#api.session(session.id);
    const { idle_at: idleAt, end_at: endAt, expires_at: expiresAt } = before;
    if (idleAt === null) throw new Surprise("No job runs, yet the session has no idle_at.");
    line(`end_at      ${clock(endAt)}, in ${span(Date.parse(endAt) - Date.now())}: moves only when a client asks`);
    line(`idle_at     ${clock(idleAt)}, in ${span(Date.parse(idleAt) - Date.now())}: slides with every job`);
    line(`expires_at  ${clock(expiresAt ?? idleAt)}: the earliest of all clocks`);
    const deadline = Date.parse(idleAt);
    for (let left = deadline - Date.now(); left > 0; left = deadline - Date.now()) {
      renew(`idle  ${bar(left / (idleSeconds * 1_000))}  ${(left / 1_000).toFixed(1)} s`);
      await pause(Math.min(100, left), undefined, { signal: this.#signal });
    }
    settle();
    const since = performance.now() - (Date.now() - deadline);
    const ended = await this.#watchEnd(session.id, since);
    if (ended.reason !== "idle_timeout") throw new Surprise(`It ended for ${ended.reason}, not for idle_timeout.`);
    const tookMs = Date.parse(ended.verified_absent_at ?? "") - deadline;
    this.figures.idleToAbsentMs = tookMs;
    line(`${good("Proven gone")} ${seconds(tookMs)} after the idle deadline.`);
    return ended;
  }

  async #deleteStubborn(): Promise<TeardownView> {
    const session = await this.#open({ idle_timeout_seconds: 300, labels: { story: "stubborn" } });
    const command =
      "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & echo 'I ignore SIGTERM, and so does my child in a session of its own'; while :; do sleep 1; done";
    const order: CreateJob = { command };
    const job = await this.#api.run(session.id, order);
    line(`${dim("$")} ${command}`);
    const output = this.#api.output(session.id, job.id);
    const words = await output.next();
    if (words.done === true) throw new Surprise(`The stubborn job ended at once: ${words.value.state}.`);
    line(`${dim("│")} ${words.value.trimEnd()}`);
    const running = (await this.#stack.residue()).filter((each) => each.session_id === session.id);
    line(`${running.length} processes carry its mark. DELETE /v1/sessions/${session.id}`);
    const since = performance.now();
    const reply = await this.#api.delete(session.id);
    timed(since, `answered at once: ${reply.status}`);
    const receipt = await this.#watchEnd(session.id, since);
    const after = await this.#api.job(session.id, job.id);
    line(
      `${good("Proven gone")} ${seconds(performance.now() - since)} after the request. Its job is reported as ${bold(after.state)}.`,
    );
    return receipt;
  }

  /** Shows the events from the end on until the session is terminated; answers the receipt. */
  async #watchEnd(id: string, since: number): Promise<TeardownView> {
    let ending = false;
    for await (const event of this.#api.events(id)) {
      ending ||= event.to === "terminating";
      if (ending) timed(since, describe(event));
      if (event.to === "terminated" || event.to === "failed") break;
    }
    const session = await this.#api.session(id);
    const receipt = await this.#api.receipt(id);
    if (session.status !== "terminated") throw new Surprise(`Session ${id} is ${session.status}, not terminated.`);
    if (receipt.phase !== "closed" || receipt.verified_absent_at === null || receipt.evidence === null) {
      throw new Surprise(`Session ${id} has no complete receipt (${receipt.phase}).`);
    }
    return receipt;
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

  figureLines(): readonly string[] {
    const { launchToHealthyMs, wrapperAndGuardianBytes, idleToAbsentMs } = this.figures;
    const row = (name: string, value: string, bound: string, held: boolean): string =>
      `   ${held ? good("✓") : bad("✗")} ${name.padEnd(38)} ${value.padStart(9)}   ${dim(bound)}`;
    return [
      ...(launchToHealthyMs === undefined
        ? []
        : [row("launch → healthy", seconds(launchToHealthyMs), "to reach: 1 s", launchToHealthyMs <= 1_000)]),
      ...(wrapperAndGuardianBytes === undefined
        ? []
        : [
            row(
              "wrapper and guardian, resident",
              `${(wrapperAndGuardianBytes / 1e6).toFixed(0)} MB`,
              "to reach: 110 MB",
              wrapperAndGuardianBytes <= 110e6,
            ),
          ]),
      ...(idleToAbsentMs === undefined
        ? []
        : [
            row(
              "idle deadline → verified absence",
              seconds(idleToAbsentMs),
              `to reach: stop grace + 3 s = ${seconds(stopGraceMs + 3_000)}`,
              idleToAbsentMs <= stopGraceMs + 3_000,
            ),
          ]),
    ];
  }
}

function describe(event: EventView): string {
  const status = event.from === event.to ? "" : dim(`  ${event.from} → ${event.to}`);
  return `${bold(event.type.replaceAll("_", " ").padEnd(14))} ${event.cause}${status}`;
}
