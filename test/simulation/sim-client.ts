/**
 * A client with one session after another: it creates, runs jobs, moves clocks, asks, deletes, and believes nothing. What it is
 * told it compares with what is stored (I9), and remembers which ends it may still be shown (CLK-1).
 */
import type { SessionId, TenantId } from "../../src/domain/ids.ts";
import type { CreateJob } from "../../src/protocol/jobs.ts";
import type { Problem, Reply } from "../../src/protocol/problem.ts";
import type { CreateSession, SessionView } from "../../src/protocol/sessions.ts";
import type { Clock } from "../../src/session/ambient.ts";
import { over } from "../../src/session/bounded.ts";
import type { SessionCommands } from "../../src/session/commands.ts";
import type { Caller } from "../../src/session/session-api.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { SessionWatch } from "./session-watch.ts";
import type { SimNet } from "./sim-net.ts";
import type { Trace } from "./trace.ts";

export interface ClientSurroundings {
  readonly random: SeededRandom;
  /** About how long everything takes, ms. */
  readonly unitMs: number;
  /** How many times slower than usual it acts. */
  readonly pace: number;
  /** It pauses, resumes and rebuilds far more often than it would. */
  readonly restless: boolean;
  readonly net: SimNet;
  readonly trace: Trace;
  /** Passes with virtual time, does not jump. */
  readonly clock: Pick<Clock, "sleep">;
  /** A session's object, made at first sight of its id. */
  readonly object: (id: SessionId) => SessionWatch;
  readonly over: () => boolean;
  readonly violated: (what: string) => void;
}

export const tenant = "acme" as TenantId;
const caller: Caller = { tenant, requestId: "sim", scopes: [] };
const idLetters = "abcdefghijklmnopqrstuvwxyz0123456789";

/** One after the other. */
const sessionsEach = 2;

/** `unit` in seconds. */
const commands: readonly ((unit: number) => string)[] = [
  () => "echo hello",
  (unit) => `sleep ${unit / 2}; echo done`,
  (unit) => `ignore-term; sleep ${10 * unit}`,
  (unit) => `fork; sleep ${1.5 * unit}`,
  () => "exit 3",
  (unit) => `spew 20000; sleep ${unit / 12}`,
  () => "crash",
  (unit) => `sleep ${7 * unit}`,
];

export class SimClient {
  readonly #world: ClientSurroundings;
  readonly #name: string;
  #id: SessionId | null = null;
  #createdAt: string | null = null;
  #created = 0;
  #jobs: string[] = [];
  #jobCount = 0;

  constructor(name: string, world: ClientSurroundings) {
    this.#name = name;
    this.#world = world;
  }

  async run(): Promise<void> {
    const { random, clock, over: ended, unitMs, pace } = this.#world;
    await clock.sleep(random.int(0, 2 * unitMs));
    while (!ended()) {
      if (this.#id === null && this.#created < sessionsEach) await this.#create();
      else await this.#act();
      await clock.sleep(pace * random.pick([random.int(1, unitMs / 10), random.int(1, 2 * unitMs)]));
    }
  }

  async #create(): Promise<void> {
    const { random, over: ended, clock, unitMs, restless } = this.#world;
    const seconds = (low: number, high: number) =>
      Math.max(1, Math.round(random.int(low * 100, high * 100) * (unitMs / 100_000)));
    const id = random.text(20, idLetters) as SessionId;
    const body: CreateSession = {
      timeout_seconds: seconds(1, 30),
      idle_timeout_seconds: random.pick([null, seconds(0.5, 8)]),
      max_lifetime_seconds: seconds(5, 60),
      on_timeout: random.pick(["kill", restless ? "pause" : "kill", "pause"]),
      auto_resume: random.chance(0.5),
      on_loss: random.pick(["hold", "relaunch", "terminate"]),
      labels: { client: this.#name },
    };
    this.#created += 1;
    this.#createdAt = null;
    this.#jobs = [];
    for (let tries = 0; tries < 5 && !ended(); tries += 1) {
      const created = await this.#ask(id, "create", (api) =>
        api.create(id, caller, body, "hash", random.int(0, 5_000)),
      );
      if (created?.ok === true) {
        this.#id = id;
        this.#learn(created.value.body, created.value.etag);
        return;
      }
      // Refused for good, or not known: only what may still come of itself is asked for again under the same id.
      if (created !== null && created.problem.code === "quota_exhausted") return clock.sleep(random.int(1, 3 * unitMs));
      await clock.sleep(random.int(1, unitMs / 6));
    }
    // It may exist all the same: its own clocks end it.
  }

  async #act(): Promise<void> {
    const id = this.#id;
    if (id === null) return;
    const { random, restless } = this.#world;
    const often = restless ? 4 : 1;
    const action = random.weighted([
      [6, () => this.#job(id)],
      [5, () => this.#get(id)],
      [3, () => this.#jobState(id)],
      [2, () => this.#timeout(id)],
      [2, () => this.#plain(id, "keepalive", (api) => api.keepalive(caller))],
      [1, () => this.#plain(id, "interrupt", (api) => api.interrupt(caller))],
      [1, () => this.#plain(id, "events", (api) => api.events(caller, 0, 100, random.int(0, 2_000)))],
      [1, () => this.#plain(id, "teardown", (api) => api.teardown(caller))],
      [1, () => this.#plain(id, "poke", async (api) => ({ ok: true, value: await api.poke("operator") }))],
      [often, () => this.#plain(id, "pause", (api) => api.pause(caller, 0))],
      [2 * often, () => this.#plain(id, "resume", (api) => api.resume(caller, null, random.int(0, 2_000)))],
      [often, () => this.#plain(id, "rebuild", (api) => api.rebuild(caller, random.int(0, 2_000)))],
      [1, () => this.#cancel(id)],
      [1, () => this.#output(id)],
      [1, () => this.#delete(id)],
    ] as const);
    await action();
  }

  async #job(id: SessionId): Promise<void> {
    const { random, unitMs } = this.#world;
    this.#jobCount += 1;
    const job = `${this.#name}-${this.#jobCount}`;
    this.#jobs.push(job);
    const unit = unitMs / 1_000;
    const body: CreateJob = {
      id: job,
      command: random.pick(commands)(unit),
      timeout_seconds: Math.ceil(random.pick([0.3, 5]) * unit),
    };
    const first = await this.#ask(id, "createJob", (api) => api.createJob(caller, body));
    // A client that heard nothing asks again: the same id must run once (FEN-7).
    if (first === null) await this.#ask(id, "createJob again", (api) => api.createJob(caller, body));
  }

  async #jobState(id: SessionId): Promise<void> {
    const { random } = this.#world;
    if (this.#jobs.length === 0) return;
    const job = random.pick(this.#jobs);
    await this.#ask(id, "job", (api) => api.job(caller, job, random.pick([0, 3_000])));
  }

  async #cancel(id: SessionId): Promise<void> {
    if (this.#jobs.length === 0) return;
    const job = this.#world.random.pick(this.#jobs);
    await this.#ask(id, "cancelJob", (api) => api.cancelJob(caller, job));
  }

  async #output(id: SessionId): Promise<void> {
    if (this.#jobs.length === 0) return;
    const job = this.#world.random.pick(this.#jobs);
    const opened = await this.#ask(id, "jobOutput", (api) => api.jobOutput(caller, job, 0));
    // It looks at the beginning and goes away: that must not end the job (FEN-10).
    if (opened?.ok === true) await opened.value.body.cancel();
  }

  async #get(id: SessionId): Promise<void> {
    const got = await this.#ask(id, "get", (api) => api.get(caller));
    if (got?.ok === true) this.#learn(got.value.body, got.value.etag);
    else this.#forgetWhenGone(got);
  }

  async #timeout(id: SessionId): Promise<void> {
    const { random, unitMs } = this.#world;
    const kind = random.pick(["timeout", "refresh"] as const);
    const set = await this.#ask(id, kind, (api) =>
      api.timeout(caller, kind, Math.ceil((random.int(1, 25) * unitMs) / 1_000)),
    );
    if (set?.ok === true) this.#learn(set.value.body, set.value.etag);
  }

  async #delete(id: SessionId): Promise<void> {
    const asked = await this.#ask(id, "delete", (api) => api.delete(caller, "requested"));
    if (asked?.ok === true && asked.value.session.terminate_reason === null) {
      this.#world.violated("DEL-1: a delete was accepted and the session does not say so");
    }
    if (asked?.ok === true && this.#world.random.chance(0.8)) this.#id = null;
    this.#forgetWhenGone(asked);
  }

  async #plain<T>(id: SessionId, what: string, call: (api: SessionCommands) => Promise<Reply<T>>): Promise<void> {
    this.#forgetWhenGone(await this.#ask(id, what, call));
  }

  /** null: nothing was heard. */
  async #ask<T>(
    id: SessionId,
    what: string,
    call: (api: SessionCommands) => Promise<Reply<T>>,
  ): Promise<Reply<T> | null> {
    const { net, trace, clock, object, unitMs } = this.#world;
    const watch = object(id);
    const patience = new AbortController();
    const sent = net
      .call(`${this.#name} ${what}`, id, () => watch.object.call(call))
      .catch((error: unknown) => {
        trace.note(this.#name, () => `${what} of ${id.slice(0, 6)}: ${String(error)}`);
        return null;
      });
    const reply = await Promise.race([sent, clock.sleep(unitMs, patience.signal).then(() => null)]);
    patience.abort(over);
    if (reply !== null) trace.note(this.#name, () => `${what} of ${id.slice(0, 6)}: ${wordsOf(reply)}`);
    return reply;
  }

  #learn(view: SessionView, etag: string): void {
    const { violated, object } = this.#world;
    this.#createdAt ??= view.created_at;
    if (view.created_at !== this.#createdAt) violated("CLK-5: created_at changed");
    const watch = object(view.id as SessionId);
    const { session } = watch;
    // Compared only with the very version that the reply is about.
    if (session === null || String(watch.version) !== etag) return;
    if (Date.parse(view.end_at) !== session.endAt) violated("I9: a reply says another end_at than is stored");
  }

  #forgetWhenGone(reply: Reply<unknown> | null): void {
    if (reply === null || reply.ok) return;
    if (reply.problem.code === "session_gone" || reply.problem.code === "not_found") this.#id = null;
  }
}

function wordsOf(reply: Reply<unknown>): string {
  return reply.ok ? "ok" : problemWords(reply.problem);
}

function problemWords(problem: Problem): string {
  return `${problem.code}: ${problem.detail}`;
}
