/**
 * A client with one session after another: it creates, runs jobs, moves clocks, asks, deletes, and believes nothing. What it is
 * told it compares with what is stored (I9), and remembers which ends it may still be shown (CLK-1).
 */
import type { SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import type { CreateJob } from "../../../src/protocol/resources/session/jobs.ts";
import type { Problem, Reply } from "../../../src/protocol/problem.ts";
import type { CreateSession, SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import { over } from "../../../src/calls/bounded-call.ts";
import type { SessionCommands } from "../../../src/session/commands/commands.ts";
import type { Caller } from "../../../src/session/session-api.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";
import type { SessionWatch } from "../checks/session-watch.ts";
import type { TenantFace } from "../objects/sim-tenant.ts";
import type { SimNet } from "./sim-net.ts";
import type { SimTraffic } from "./sim-traffic.ts";
import type { Trace } from "./trace.ts";

export interface ClientDependencies {
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
  /** How often its sessions ask for what most do not. */
  readonly asks: {
    readonly workspace: number;
    readonly shared: number;
    readonly env: number;
    readonly budget: boolean;
  };
  /** It makes a session anew under an id of its own that was erased. */
  readonly again: boolean;
  /** The tenant's object. */
  readonly registry: <T>(call: (face: TenantFace) => Promise<T>) => Promise<T>;
  readonly traffic: SimTraffic;
  /** A delete of that session was sent: it may be told as requested. */
  readonly onDelete: (id: SessionId) => void;
}

export const tenant = "acme" as TenantId;
const caller: Caller = { tenant, requestId: "sim", scopes: [] };
const idLetters = "abcdefghijklmnopqrstuvwxyz0123456789";

/** What a session's workspace begins with. */
const workspaces: readonly ((unit: number) => NonNullable<CreateSession["workspace"]>)[] = [
  () => ({ git: { url: "https://example.org/repo.git" } }),
  (unit) => ({ git: { url: "https://example.org/repo.git" }, setup: [`sleep ${unit / 3}`, "echo ready"] }),
  (unit) => ({ setup: [`sleep ${unit / 6}`, "write made yes"] }),
  () => ({ setup: ["exit 2"] }),
  () => ({ git: { url: "https://example.org/nowhere.git" } }),
  (unit) => ({ setup: [`sleep ${30 * unit}`] }),
];

/** Of the tenant: every client takes, uses and deletes them. */
const snapshotNames = ["base", "other"] as const;

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
  (unit) => `spew 300000; sleep ${unit / 6}; spew 50000`,
  () => "crash",
  (unit) => `sleep ${7 * unit}`,
  () => "cat",
];

export class SimClient {
  readonly #world: ClientDependencies;
  readonly #name: string;
  #id: SessionId | null = null;
  #createdAt: string | null = null;
  #created = 0;
  #jobs: string[] = [];
  #jobCount = 0;
  /** Ids of sessions that it was told are gone. */
  readonly #gone: SessionId[] = [];

  constructor(name: string, world: ClientDependencies) {
    this.#name = name;
    this.#world = world;
  }

  async run(): Promise<void> {
    const { random, clock, over: ended, unitMs, pace } = this.#world;
    await clock.sleep(random.int(0, 2 * unitMs));
    while (!ended()) {
      const more = this.#created < sessionsEach || (this.#world.again && this.#gone.length > 0);
      if (this.#id === null && more) await this.#create();
      else await this.#act();
      await clock.sleep(pace * random.pick([random.int(1, unitMs / 10), random.int(1, 2 * unitMs)]));
    }
  }

  async #create(): Promise<void> {
    const { random, over: ended, clock, unitMs, restless } = this.#world;
    const seconds = (low: number, high: number) =>
      Math.max(1, Math.round(random.int(low * 100, high * 100) * (unitMs / 100_000)));
    const { asks } = this.#world;
    const erased = this.#world.again && random.chance(0.7) ? this.#gone.pop() : undefined;
    const id = erased ?? (random.text(20, idLetters) as SessionId);
    const timeout = seconds(1, 30);
    const body: CreateSession = {
      timeout_seconds: timeout,
      // At a thousandth a second: used up in half of the time, of two sessions in three.
      ...(asks.budget && timeout % 3 !== 0 ? { max_cost: timeout / 2_000 } : {}),
      idle_timeout_seconds: random.pick([null, seconds(0.5, 8)]),
      max_lifetime_seconds: seconds(5, 60),
      on_timeout: random.pick(["kill", restless ? "pause" : "kill", "pause"]),
      auto_resume: random.chance(0.5),
      on_loss: random.pick(["hold", "relaunch", "terminate"]),
      labels: { client: this.#name },
      ...(random.chance(asks.shared) ? { isolation: "shared" as const } : {}),
      ...(random.chance(asks.env) ? { env: { TOKEN: random.text(8, idLetters) } } : {}),
      ...(random.chance(0.15) ? { snapshot: random.pick(snapshotNames) } : {}),
      ...(random.chance(asks.workspace) ? { workspace: random.pick(workspaces)(unitMs / 1_000) } : {}),
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
      [2, () => this.#stdin(id)],
      [1, () => this.#attach(id)],
      [1, () => this.#snapshot(id)],
      [1, () => this.#forgetSnapshot()],
      [2, () => this.#traffic(id)],
      [1, () => this.#delete(id)],
      [
        this.#world.asks.budget ? 1 : 0,
        () => this.#plain(id, "budget", (api) => api.budget(caller, random.pick([null, 0.01, 10]))),
      ],
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
      stdin_open: true,
      // What it leaves running goes on, and must end with its sandbox all the same.
      ...(random.chance(0.2) ? { keep: true } : {}),
      ...(random.chance(this.#world.asks.env) ? { env: { SECRET: random.text(8, idLetters) } } : {}),
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
    const { random } = this.#world;
    const job = random.pick(this.#jobs);
    // Also from bytes that may have been dropped, and from past the end.
    const from = random.pick([0, 0, 40_000, 250_000, 1_000_000]);
    const opened = await this.#ask(id, "jobOutput", (api) => api.jobOutput(caller, job, from));
    // It looks at the beginning and goes away: that must not end the job (FEN-10).
    if (opened?.ok === true) await opened.value.body.cancel();
  }

  async #stdin(id: SessionId): Promise<void> {
    if (this.#jobs.length === 0) return;
    const { random } = this.#world;
    const job = random.pick(this.#jobs);
    const bytes = new TextEncoder().encode("more\n");
    await this.#plain(id, "stdin", (api) => api.writeStdin(caller, job, bytes, random.chance(0.5)));
  }

  async #attach(id: SessionId): Promise<void> {
    const { random, unitMs } = this.#world;
    const seconds = random.pick([0, Math.ceil((random.int(1, 10) * unitMs) / 1_000)]);
    const order = { seconds, resumes: random.pick(["if_auto", "always"] as const) };
    await this.#plain(id, "attach", (api) => api.attach(caller, order, random.int(0, 2_000)));
  }

  async #snapshot(id: SessionId): Promise<void> {
    const { random } = this.#world;
    const wish = {
      name: random.pick([null, ...snapshotNames]),
      replace: random.chance(0.7),
      purpose: random.pick(["kept", "kept", "fork"] as const),
    };
    await this.#plain(id, "snapshot", (api) => api.snapshot(caller, wish, random.int(0, 3_000)));
  }

  async #forgetSnapshot(): Promise<void> {
    const { random, net, registry } = this.#world;
    const name = random.pick(snapshotNames);
    await net
      .call("tenant delete snapshot", null, () => registry((face) => face.deleteSnapshot(name, random.int(0, 2_000))))
      .catch(() => {});
  }

  async #traffic(id: SessionId): Promise<void> {
    const { random, traffic, unitMs } = this.#world;
    if (random.chance(0.5)) await traffic.requests(caller, id, random.pick([1, 1, 5]));
    // It goes on beside everything else that the client does.
    else void traffic.stream(caller, id, random.int(1, 3 * unitMs));
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
    this.#world.onDelete(id);
    const asked = await this.#ask(id, "delete", (api) => api.delete(caller, "requested"));
    if (asked?.ok === true && asked.value.session.terminate_reason === null) {
      this.#world.violated("DEL-1: a delete was accepted and the session does not say so");
    }
    if (asked?.ok === true && this.#world.random.chance(this.#world.again ? 0.2 : 0.8)) this.#id = null;
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
    const { code } = reply.problem;
    if (code !== "session_gone" && code !== "not_found") return;
    if (code === "not_found" && this.#id !== null) this.#gone.push(this.#id);
    this.#id = null;
  }
}

function wordsOf(reply: Reply<unknown>): string {
  return reply.ok ? "ok" : problemWords(reply.problem);
}

function problemWords(problem: Problem): string {
  return `${problem.code}: ${problem.detail}`;
}
