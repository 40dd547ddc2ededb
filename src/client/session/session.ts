/** One session. Holds no state but its id: every answer is Mooring's newest. */
import { isProblem } from "../errors.ts";
import { watchEvents } from "./events.ts";
import { Files } from "./files.ts";
import { Job } from "./job.ts";
import { executed, type Executed, firstEvent, Process } from "./process.ts";
import { openTerminal, type Terminal, type TerminalOptions } from "./terminal.ts";
import { waitUntil, type Wanted, type WaitOptions } from "./until.ts";
import { everyPage } from "../wire/pages.ts";
import { freshKey } from "../wire/fresh-key.ts";
import type { OperationId, ParametersOf } from "../../protocol/contracts/contract-types.ts";
import type { Call, CallOptions, Transport } from "../wire/transport.ts";
import type {
  AnswerOf,
  BodyFor,
  CreateJob,
  ForkProblem,
  JobListItem,
  ProcessView,
  SessionEvent,
  SessionView,
  Snapshot,
  StartProcess,
  Teardown,
} from "../types.ts";

export interface LaunchOptions extends CallOptions {
  /** Ask Mooring to hold the answer until the session runs, seconds, 60 at most. */
  readonly waitSeconds?: number | undefined;
}

/** The operations whose path names a session and nothing else. */
type AboutSession = {
  [O in OperationId]: keyof ParametersOf<O> extends "id" ? ("id" extends keyof ParametersOf<O> ? O : never) : never;
}[OperationId];
type CallSettings<O extends AboutSession> = Omit<Call<O>, "operation" | "parameters">;

/** How long Mooring holds the answer while files are saved, and while forks start. */
const savingSeconds = 45;
const startingSeconds = 45;
export class Session {
  readonly #transport: Transport;
  readonly id: string;
  /** The files of its sandbox, while that runs. */
  readonly files: Files;

  constructor(transport: Transport, id: string) {
    this.#transport = transport;
    this.id = id;
    this.files = new Files(transport, id);
  }

  /** A call about this session whose answer is JSON. */
  #ask<O extends AboutSession>(operation: O, how: CallSettings<O>, options: CallOptions): Promise<AnswerOf<O>> {
    return this.#transport.json({ operation, parameters: { id: this.id }, ...how } as unknown as Call<O>, options);
  }

  /** As it stands. Throws `not_found` once it is erased. */
  read(options: CallOptions = {}): Promise<SessionView> {
    return this.#ask("getSession", { repeatable: true }, options);
  }

  /** What its sandbox may reach from now on; `network.state` of the answer tells whether the running one follows already. */
  setNetwork(network: BodyFor<"updateSession">["network"], options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"updateSession"> = { network };
    return this.#ask("updateSession", { json, repeatable: true }, options);
  }

  /** Sets `end_at` to so many seconds from now, earlier or later. Never sent twice: a late repeat would undo a newer one. */
  setTimeout(seconds: number, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"setSessionTimeout"> = { timeout_seconds: seconds };
    return this.#ask("setSessionTimeout", { json, repeatable: false }, options);
  }

  /** Sets what the session may cost in all, from its beginning on; null: without a budget. */
  setBudget(maxCost: number | null, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"setSessionBudget"> = { max_cost: maxCost };
    return this.#ask("setSessionBudget", { json, repeatable: true }, options);
  }

  /** `end_at` becomes at least so many seconds from now; never shortens. */
  refresh(seconds: number, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"refreshSession"> = { duration_seconds: seconds };
    return this.#ask("refreshSession", { json, repeatable: true }, options);
  }

  /** The ports on which processes of its sandbox listen now. */
  async ports(options: CallOptions = {}): Promise<AnswerOf<"listPorts">["data"]> {
    return (await this.#ask("listPorts", { repeatable: true }, options)).data;
  }

  /** An address with an end for a server that runs in the sandbox. Another one each time. */
  sharePort(port: number, how: Omit<BodyFor<"sharePort">, "port"> = {}, options: CallOptions = {}) {
    const json: BodyFor<"sharePort"> = { port, ...how };
    return this.#ask("sharePort", { json, repeatable: true }, options);
  }

  /** Restarts the idle clock; `end_at` does not move. */
  keepalive(options: CallOptions = {}): Promise<AnswerOf<"keepSessionAlive">> {
    return this.#ask("keepSessionAlive", { repeatable: true }, options);
  }

  /** Saves its files and gives the sandbox back. The answer comes at once: `until("paused")` waits for it. */
  pause(options: CallOptions = {}): Promise<SessionView> {
    return this.#ask("pauseSession", { repeatable: false }, options);
  }

  /** Goes on where a paused session was. `timeout_seconds` sets its end anew, else its own timeout does. */
  resume(body: BodyFor<"resumeSession"> = {}, options: LaunchOptions = {}): Promise<SessionView> {
    const { waitSeconds } = options;
    return this.#ask("resumeSession", { json: body, waitSeconds, repeatable: false }, options);
  }

  /** Takes a snapshot of its files; it runs on. `mooring.create({ snapshot })` begins with them, also when this session is gone. */
  snapshot(name?: string, options: CallOptions & { readonly replace?: boolean } = {}): Promise<Snapshot> {
    const { replace, ...rest } = options;
    const json = { ...(name === undefined ? {} : { name }), ...(replace === undefined ? {} : { replace }) };
    return this.#ask("createSnapshot", { json, repeatable: false, heldSeconds: savingSeconds }, rest);
  }

  /** Sessions that begin with its files and its settings, and share nothing with it afterwards. One that could not be made is a problem. */
  async fork(
    order: BodyFor<"forkSession"> = {},
    options: CallOptions = {},
  ): Promise<readonly (Session | ForkProblem)[]> {
    const how = { json: order, repeatable: false, heldSeconds: savingSeconds + startingSeconds };
    const { forks } = await this.#ask("forkSession", how, options);
    return forks.map(({ session, problem }) =>
      session === null
        ? { problem: problem ?? { code: "internal", status: 500, detail: "Mooring said nothing of it." } }
        : new Session(this.#transport, session.id),
    );
  }

  /** Replaces its sandbox. A running one is saved first; of a lost one what was not saved is gone, hence the word. */
  rebuild(body: BodyFor<"rebuildSession">, options: LaunchOptions = {}): Promise<SessionView> {
    const { waitSeconds } = options;
    return this.#ask("rebuildSession", { json: body, waitSeconds, repeatable: false }, options);
  }

  /** Ends the running jobs; what is queued stays. */
  interrupt(options: CallOptions = {}): Promise<AnswerOf<"interruptSession">> {
    return this.#ask("interruptSession", { repeatable: false }, options);
  }

  /** Asks for its end: stored at once, in every state, safe to repeat. `end()` also waits for the proof. */
  delete(options: CallOptions = {}): Promise<SessionView> {
    return this.#ask("deleteSession", { repeatable: true }, options);
  }

  /** Ends it and waits until it is proven gone. Answers the receipt; null when it never had a sandbox. */
  async end(options: WaitOptions = {}): Promise<Teardown | null> {
    await this.delete(options);
    await this.until(["terminated", "failed"], options);
    try {
      return await this.teardown(options);
    } catch (error) {
      if (isProblem(error, "not_found")) return null;
      throw error;
    }
  }

  /** The newest teardown: how far it is, and the receipt. Throws `not_found` when there is none yet. */
  teardown(options: CallOptions = {}): Promise<Teardown> {
    return this.#ask("getTeardown", { repeatable: true }, options);
  }

  /** Why it is as it is: what keeps it alive, which clock fires next, what blocks it, and the exact next call. */
  explain(options: CallOptions = {}): Promise<AnswerOf<"explainSession">> {
    return this.#ask("explainSession", { repeatable: true }, options);
  }

  /** The signed receipts of its sandboxes that are proven gone, oldest first. */
  receipts(options: CallOptions = {}): Promise<AnswerOf<"getSessionReceipts">> {
    return this.#ask("getSessionReceipts", { repeatable: true }, options);
  }

  /** Seconds by status and provider. */
  usage(options: CallOptions = {}): Promise<AnswerOf<"getUsage">> {
    return this.#ask("getUsage", { repeatable: true }, options);
  }

  /** The sandbox's log and the last words of its jobs, `tailBytes` of each (8192). */
  logs(options: CallOptions & { readonly tailBytes?: number } = {}): Promise<AnswerOf<"getLogs">> {
    const query = { tail_bytes: options.tailBytes };
    return this.#ask("getLogs", { query, repeatable: true }, options);
  }

  /** What its sandbox uses. */
  resources(options: CallOptions = {}): Promise<AnswerOf<"getResources">> {
    return this.#ask("getResources", { repeatable: true }, options);
  }

  /**
   * Runs a command (`sh -c`), or a whole order with `argv`, `env`, `cwd` and so on. It gets an id here when it has none, so
   * that a repeat after a lost answer finds the same job: it runs once.
   */
  async run(order: string | CreateJob, options: CallOptions = {}): Promise<Job> {
    const given: CreateJob = typeof order === "string" ? { command: order } : order;
    const json: CreateJob = { ...given, id: given.id ?? freshKey() };
    return this.job((await this.#ask("createJob", { json, repeatable: true }, options)).id);
  }

  /**
   * Runs a program and waits for its end: its two outputs apart, and its exit code. A failed one is an answer, not an error. An array is
   * started without a shell, a text by `sh -c`. It has no record and is not started again: what must be done whatever happens is `run`.
   */
  async exec(
    what: string | readonly string[],
    options: CallOptions & Omit<StartProcess, "argv" | "command"> = {},
  ): Promise<Executed> {
    const { signal, ...order } = options;
    const json = { ...order, ...(typeof what === "string" ? { command: what } : { argv: [...what] }) };
    const query = { output: "true" } as const;
    const headers = { accept: "text/event-stream" };
    const parameters = { id: this.id };
    const call = { operation: "startProcess", parameters, query, json, headers, repeatable: false } as const;
    const answer = await this.#transport.stream(call, { signal });
    const [first, kept] = await firstEvent(answer);
    const started = new Process(this.#transport, this.id, first.pid);
    return executed(first.pid, started.following({ signal }, kept));
  }

  /** Starts a process and answers at once. */
  async start(order: StartProcess, options: CallOptions = {}): Promise<Process> {
    const { pid } = await this.#ask("startProcess", { json: order, repeatable: false }, options);
    return this.process(pid);
  }

  /** A process by its pid. Asks nothing. */
  process(pid: number): Process {
    return new Process(this.#transport, this.id, pid);
  }

  /** The processes that run, with `ended` also those that ended a short time ago. */
  async processes(options: CallOptions & { readonly ended?: boolean } = {}): Promise<readonly ProcessView[]> {
    const query = { ended: options.ended === true ? "true" : undefined } as const;
    return (await this.#ask("listProcesses", { query, repeatable: true }, options)).data;
  }

  /** Opens a terminal, or comes back to one. */
  terminal(options: TerminalOptions): Promise<Terminal> {
    return openTerminal(this.#transport, this.id, options);
  }

  /** A job by its id. Asks nothing. */
  job(id: string): Job {
    return new Job(this.#transport, this.id, id);
  }

  /** Its jobs in the order in which they were made, page after page. */
  jobs(options: CallOptions & { readonly limit?: number } = {}): AsyncGenerator<JobListItem, void, void> {
    const { limit } = options;
    return everyPage(async (cursor) => {
      const page = await this.#ask("listJobs", { query: { limit, cursor }, repeatable: true }, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** What happened so far, oldest first, from the event after the sequence `after` on. */
  history(options: CallOptions & { readonly after?: number } = {}): AsyncGenerator<SessionEvent, void, void> {
    return everyPage(async (cursor) => {
      const query = { after: cursor ?? options.after?.toString(), limit: 100 };
      const page = await this.#ask("listEvents", { query, repeatable: true }, options);
      return { data: page.data, next: page.next_after === null ? null : String(page.next_after) };
    });
  }

  /**
   * Its events as they happen, from the event after the sequence `after` on, until it is erased. A broken connection goes
   * on after the last event that arrived: none is lost or told twice.
   */
  watch(options: CallOptions & { readonly after?: number } = {}): AsyncGenerator<SessionEvent, void, void> {
    const { after = 0, ...rest } = options;
    return watchEvents(this.#transport, this.id, after, rest);
  }

  /**
   * Waits until its status is one of these, or until the function says so. A status that cannot change any more
   * (`terminated`, `failed`) and is not what was waited for throws at once.
   */
  until(wanted: Wanted, options: WaitOptions = {}): Promise<SessionView> {
    return waitUntil(this.#transport, this.id, wanted, options);
  }
}
