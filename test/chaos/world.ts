/** The stack under chaos and the hands on it: what every deed and every fault needs, and the record of what was done. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type JobState, jobView } from "../../src/protocol/resources/session/jobs.ts";
import type { HostFault } from "../../src/protocol/sandbox/host.ts";
import { groupMembers } from "../../scripts/stack/leash.ts";
import type { Stack } from "../../scripts/stack/stack.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { census, type Seen } from "./census.ts";
import type { ChaosClient } from "./chaos-client.ts";
import type { Journal } from "./journal.ts";
import type { ChaosOrder } from "./order.ts";
import { Outages } from "./outages.ts";
import type { TrackedSession } from "./tracked-session.ts";

export interface WorldDependencies {
  readonly stack: Stack;
  readonly client: ChaosClient;
  readonly random: SeededRandom;
  readonly journal: Journal;
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly order: ChaosOrder;
}

interface Victim {
  readonly session: TrackedSession;
  readonly seen: Seen;
}

/** Sessions of a round are often still being launched when its fault is about to strike. */
const victimWithinMs = 20_000;

const lookEveryMs = 1_000;
const standstillMs = 3 * lookEveryMs;

export class World {
  readonly stack: Stack;
  readonly client: ChaosClient;
  readonly random: SeededRandom;
  readonly journal: Journal;
  readonly signal: AbortSignal;
  readonly order: ChaosOrder;
  readonly outages = new Outages();
  readonly sessions: TrackedSession[] = [];
  /** Every job's first line appends to a file of its own here. */
  readonly ranDirectory: string;
  readonly directory: string;
  /** Pids that a fault put there: no wrapper of ours, so neither a victim nor a sign of life. */
  readonly planted = new Set<number>();
  #watching: NodeJS.Timeout | null = null;

  constructor(dependencies: WorldDependencies) {
    this.stack = dependencies.stack;
    this.client = dependencies.client;
    this.random = dependencies.random;
    this.journal = dependencies.journal;
    this.signal = dependencies.signal;
    this.order = dependencies.order;
    this.directory = dependencies.directory;
    this.ranDirectory = join(dependencies.directory, "ran");
    mkdirSync(this.ranDirectory, { recursive: true });
  }

  pause(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.signal });
  }

  get living(): readonly TrackedSession[] {
    return this.sessions.filter((session) => session.alive);
  }

  byId(id: string): TrackedSession | null {
    return this.sessions.find((session) => session.id === id) ?? null;
  }

  /** Processes of this run only, and notes which generations live. */
  look(): readonly Seen[] {
    const all = census().filter((seen) => this.byId(seen.session) !== null || seen.cwd.startsWith(this.directory));
    for (const seen of all) {
      if (seen.role !== "wrapper" || seen.generation === null || this.planted.has(seen.pid)) continue;
      this.byId(seen.session)?.lastAlive.set(seen.generation, Date.now());
    }
    return all;
  }

  /** One process of a living session, by role; waits a moment for one. Null when none appears. */
  async victim(role: "wrapper" | "guardian" | "job"): Promise<Victim | null> {
    const until = performance.now() + victimWithinMs;
    for (;;) {
      const possible = this.#possible(role);
      if (possible.length > 0) return this.random.pick(possible);
      if (performance.now() > until) return null;
      await this.pause(50);
    }
  }

  #possible(role: "wrapper" | "guardian" | "job"): readonly Victim[] {
    const seen = this.look().filter((each) => each.role === role && !each.stopped && !this.planted.has(each.pid));
    const sorted = seen.toSorted((a, b) => (a.session < b.session ? -1 : a.session > b.session ? 1 : a.pid - b.pid));
    return sorted.flatMap((each) => {
      const session = this.byId(each.session);
      return session?.alive === true ? [{ session, seen: each }] : [];
    });
  }

  /** Takes a census each second, so that the end of every wrapper is known to the second. */
  watch(): void {
    let lookedAt = Date.now();
    this.#watching ??= setInterval(() => {
      // Where this program had no turn for a while, those that renew leases had none either.
      if (Date.now() - lookedAt > standstillMs) this.outages.past("workerd", lookedAt, Date.now());
      lookedAt = Date.now();
      void this.look();
    }, lookEveryMs);
  }

  unwatch(): void {
    if (this.#watching !== null) clearInterval(this.#watching);
    this.#watching = null;
  }

  async jobState(session: TrackedSession, job: string): Promise<JobState | "unknown"> {
    const answer = await this.client.ask("GET", `/v1/sessions/${session.id}/jobs/${job}`, jobView);
    return answer.type === "value" ? answer.value.state : "unknown";
  }

  async killWorker(): Promise<void> {
    this.outages.begin("workerd");
    await this.stack.worker?.kill();
  }

  async restoreWorker(): Promise<void> {
    if (this.stack.worker?.alive() !== true) await this.stack.startWorker();
    this.outages.end("workerd");
  }

  async killHost(): Promise<void> {
    this.outages.begin("host");
    await this.stack.host?.kill();
  }

  async restoreHost(): Promise<void> {
    if (this.stack.host?.alive() !== true) await this.stack.startHost();
    this.outages.end("host");
  }

  freeze(what: "workerd" | "host"): void {
    this.outages.begin(what);
    this.#signal(what, "SIGSTOP");
  }

  thaw(what: "workerd" | "host"): void {
    this.#signal(what, "SIGCONT");
    this.outages.end(what);
  }

  async orderFault(fault: HostFault): Promise<void> {
    await this.#host("POST", fault);
  }

  async clearFaults(): Promise<void> {
    await this.#host("DELETE");
  }

  async #host(method: string, body?: HostFault): Promise<void> {
    const reply = await fetch(`${this.stack.hostUrl}/faults`, {
      method,
      headers: { authorization: `Bearer ${this.stack.secrets.LOCAL_HOST_TOKEN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    await reply.text();
    if (!reply.ok) throw new Error(`The host answered ${reply.status} to an order for a fault.`);
  }

  #signal(what: "workerd" | "host", signal: "SIGSTOP" | "SIGCONT"): void {
    const leash = what === "workerd" ? this.stack.worker : this.stack.host;
    if (leash === null) return;
    for (const pid of groupMembers(leash.group)) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended meanwhile.
      }
    }
  }
}
