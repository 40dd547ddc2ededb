/** One session. Holds no state but its id: every answer is Mooring's newest. */
import { isProblem, WaitTimeoutError } from "../errors.ts";
import { follow } from "../wire/event-stream.ts";
import { Files } from "./files.ts";
import { Job } from "./job.ts";
import { executed, type Executed, firstEvent, Process } from "./process.ts";
import { openTerminal, type Terminal, type TerminalOptions } from "./terminal.ts";
import { everyPage } from "../wire/pages.ts";
import { sleep } from "../wire/pacing.ts";
import { freshKey } from "../wire/fresh-key.ts";
import type { CallOptions, Transport } from "../wire/transport.ts";
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

export interface WaitOptions extends CallOptions {
  /** How long to wait at most, ms; 10 minutes when left out. Then a WaitTimeoutError is thrown. */
  readonly withinMs?: number | undefined;
}

export interface LaunchOptions extends CallOptions {
  /** Ask Mooring to hold the answer until the session runs, seconds, 60 at most. */
  readonly waitSeconds?: number | undefined;
}

const usualWaitMs = 600_000;
/** How long Mooring holds the answer while files are saved, and while forks start. */
const savingSeconds = 45;
const startingSeconds = 45;
/** A session changes its status in moments or in minutes: looks begin close and become rarer. */
const firstLookMs = 200;
const lastLookMs = 3_000;

export class Session {
  readonly #transport: Transport;
  readonly id: string;
  /** Of its sandbox while it runs. */
  readonly files: Files;

  constructor(transport: Transport, id: string) {
    this.#transport = transport;
    this.id = id;
    this.files = new Files(transport, id);
  }

  /** As it stands. Throws `not_found` once it is erased. */
  read(options: CallOptions = {}): Promise<SessionView> {
    return this.#transport.json({ operation: "getSession", parameters: { id: this.id }, repeatable: true }, options);
  }

  /** What its sandbox may reach from now on; `network.state` of the answer tells whether the running one follows already. */
  setNetwork(network: BodyFor<"updateSession">["network"], options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"updateSession"> = { network };
    return this.#transport.json(
      { operation: "updateSession", parameters: { id: this.id }, json, repeatable: true },
      options,
    );
  }

  /** Sets `end_at` to so many seconds from now, earlier or later. Never sent twice: a late repeat would undo a newer one. */
  setTimeout(seconds: number, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"setSessionTimeout"> = { timeout_seconds: seconds };
    return this.#transport.json(
      { operation: "setSessionTimeout", parameters: { id: this.id }, json, repeatable: false },
      options,
    );
  }

  /** Sets what the session may cost in all, from its beginning on; null: without a budget. */
  setBudget(maxCost: number | null, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"setSessionBudget"> = { max_cost: maxCost };
    return this.#transport.json(
      { operation: "setSessionBudget", parameters: { id: this.id }, json, repeatable: true },
      options,
    );
  }

  /** `end_at` becomes at least so many seconds from now; never shortens. */
  refresh(seconds: number, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"refreshSession"> = { duration_seconds: seconds };
    return this.#transport.json(
      { operation: "refreshSession", parameters: { id: this.id }, json, repeatable: true },
      options,
    );
  }

  /** The ports on which processes of its sandbox listen now. */
  async ports(options: CallOptions = {}): Promise<AnswerOf<"listPorts">["data"]> {
    const call = { operation: "listPorts", parameters: { id: this.id }, repeatable: true } as const;
    return (await this.#transport.json(call, options)).data;
  }

  /** An address with an end for a server that runs in the sandbox. Another one each time. */
  sharePort(port: number, how: Omit<BodyFor<"sharePort">, "port"> = {}, options: CallOptions = {}) {
    const json: BodyFor<"sharePort"> = { port, ...how };
    return this.#transport.json(
      { operation: "sharePort", parameters: { id: this.id }, json, repeatable: true },
      options,
    );
  }

  /** Restarts the idle clock; `end_at` does not move. */
  keepalive(options: CallOptions = {}): Promise<AnswerOf<"keepSessionAlive">> {
    return this.#transport.json(
      { operation: "keepSessionAlive", parameters: { id: this.id }, repeatable: true },
      options,
    );
  }

  /** Saves its files and gives the sandbox back. The answer comes at once: `until("paused")` waits for it. */
  pause(options: CallOptions = {}): Promise<SessionView> {
    return this.#transport.json({ operation: "pauseSession", parameters: { id: this.id }, repeatable: false }, options);
  }

  /** Goes on where a paused session was. `timeout_seconds` sets its end anew, else its own timeout does. */
  resume(body: BodyFor<"resumeSession"> = {}, options: LaunchOptions = {}): Promise<SessionView> {
    const { waitSeconds } = options;
    return this.#transport.json(
      { operation: "resumeSession", parameters: { id: this.id }, json: body, waitSeconds, repeatable: false },
      options,
    );
  }

  /** Takes a snapshot of its files; it runs on. `mooring.create({ snapshot })` begins with them, also when this session is gone. */
  snapshot(name?: string, options: CallOptions & { readonly replace?: boolean } = {}): Promise<Snapshot> {
    const { replace, ...rest } = options;
    const json = { ...(name === undefined ? {} : { name }), ...(replace === undefined ? {} : { replace }) };
    return this.#transport.json(
      { operation: "createSnapshot", parameters: { id: this.id }, json, repeatable: false, heldSeconds: savingSeconds },
      rest,
    );
  }

  /** Sessions that begin with its files and its settings, and share nothing with it afterwards. One that could not be made is a problem. */
  async fork(
    order: BodyFor<"forkSession"> = {},
    options: CallOptions = {},
  ): Promise<readonly (Session | ForkProblem)[]> {
    const heldSeconds = savingSeconds + startingSeconds;
    const parameters = { id: this.id };
    const call = { operation: "forkSession", parameters, json: order, repeatable: false, heldSeconds } as const;
    const { forks } = await this.#transport.json(call, options);
    return forks.map(({ session, problem }) =>
      session === null
        ? { problem: problem ?? { code: "internal", status: 500, detail: "Mooring said nothing of it." } }
        : new Session(this.#transport, session.id),
    );
  }

  /** Replaces its sandbox. A running one is saved first; of a lost one what was not saved is gone, hence the word. */
  rebuild(body: BodyFor<"rebuildSession">, options: LaunchOptions = {}): Promise<SessionView> {
    const { waitSeconds } = options;
    return this.#transport.json(
      { operation: "rebuildSession", parameters: { id: this.id }, json: body, waitSeconds, repeatable: false },
      options,
    );
  }

  /** Ends the running jobs; what is queued stays. */
  interrupt(options: CallOptions = {}): Promise<AnswerOf<"interruptSession">> {
    return this.#transport.json(
      { operation: "interruptSession", parameters: { id: this.id }, repeatable: false },
      options,
    );
  }

  /** Asks for its end: stored at once, in every state, safe to repeat. `end()` also waits for the proof. */
  delete(options: CallOptions = {}): Promise<SessionView> {
    return this.#transport.json({ operation: "deleteSession", parameters: { id: this.id }, repeatable: true }, options);
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
    return this.#transport.json({ operation: "getTeardown", parameters: { id: this.id }, repeatable: true }, options);
  }

  /** Why it is as it is: what keeps it alive, which clock fires next, what blocks it, and the exact next call. */
  explain(options: CallOptions = {}): Promise<AnswerOf<"explainSession">> {
    return this.#transport.json(
      { operation: "explainSession", parameters: { id: this.id }, repeatable: true },
      options,
    );
  }

  /** The signed receipts of its sandboxes that are proven gone, oldest first. */
  receipts(options: CallOptions = {}): Promise<AnswerOf<"getSessionReceipts">> {
    return this.#transport.json(
      { operation: "getSessionReceipts", parameters: { id: this.id }, repeatable: true },
      options,
    );
  }

  /** Seconds by status and provider. */
  usage(options: CallOptions = {}): Promise<AnswerOf<"getUsage">> {
    return this.#transport.json({ operation: "getUsage", parameters: { id: this.id }, repeatable: true }, options);
  }

  /** The sandbox's log and the last words of its jobs, `tailBytes` of each (8192). */
  logs(options: CallOptions & { readonly tailBytes?: number } = {}): Promise<AnswerOf<"getLogs">> {
    const query = { tail_bytes: options.tailBytes };
    return this.#transport.json(
      { operation: "getLogs", parameters: { id: this.id }, query, repeatable: true },
      options,
    );
  }

  /** What its sandbox uses. */
  resources(options: CallOptions = {}): Promise<AnswerOf<"getResources">> {
    return this.#transport.json({ operation: "getResources", parameters: { id: this.id }, repeatable: true }, options);
  }

  /**
   * Runs a command (`sh -c`), or a whole order with `argv`, `env`, `cwd` and so on. It gets an id here when it has none, so
   * that a repeat after a lost answer finds the same job: it runs once.
   */
  async run(order: string | CreateJob, options: CallOptions = {}): Promise<Job> {
    const given: CreateJob = typeof order === "string" ? { command: order } : order;
    const json: CreateJob = { ...given, id: given.id ?? freshKey() };
    const call = { operation: "createJob", parameters: { id: this.id }, json, repeatable: true } as const;
    return this.job((await this.#transport.json(call, options)).id);
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
    const call = { operation: "startProcess", parameters: { id: this.id }, json: order, repeatable: false } as const;
    const { pid } = await this.#transport.json(call, options);
    return this.process(pid);
  }

  /** A process by its pid. Asks nothing. */
  process(pid: number): Process {
    return new Process(this.#transport, this.id, pid);
  }

  /** The processes that run, with `ended` also those that ended a short time ago. */
  async processes(options: CallOptions & { readonly ended?: boolean } = {}): Promise<readonly ProcessView[]> {
    const query = { ended: options.ended === true ? "true" : undefined } as const;
    const call = { operation: "listProcesses", parameters: { id: this.id }, query, repeatable: true } as const;
    return (await this.#transport.json(call, options)).data;
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
      const call = {
        operation: "listJobs",
        parameters: { id: this.id },
        query: { limit, cursor },
        repeatable: true,
      } as const;
      const page = await this.#transport.json(call, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** What happened so far, oldest first, from the event after the sequence `after` on. */
  history(options: CallOptions & { readonly after?: number } = {}): AsyncGenerator<SessionEvent, void, void> {
    return everyPage(async (cursor) => {
      const query = { after: cursor ?? options.after?.toString(), limit: 100 };
      const call = { operation: "listEvents", parameters: { id: this.id }, query, repeatable: true } as const;
      const page = await this.#transport.json(call, options);
      return { data: page.data, next: page.next_after === null ? null : String(page.next_after) };
    });
  }

  /**
   * Its events as they happen, from the event after the sequence `after` on, until it is erased. A broken connection goes
   * on after the last event that arrived: none is lost or told twice.
   */
  watch(options: CallOptions & { readonly after?: number } = {}): AsyncGenerator<SessionEvent, void, void> {
    const { signal, after = 0 } = options;
    return follow<SessionEvent, void>({
      what: `The events of session ${this.id}`,
      from: after,
      signal,
      retry: this.#transport.retry,
      open: (position) => {
        const headers = { accept: "text/event-stream", "last-event-id": String(position) };
        return this.#transport.stream(
          { operation: "listEvents", parameters: { id: this.id }, headers, repeatable: true },
          options,
        );
      },
      take: ({ event, id, data }) => {
        if (event === undefined || event === "message") {
          return { type: "item", item: JSON.parse(data) as SessionEvent, position: Number(id) };
        }
        if (event !== "end") return { type: "nothing" };
        const { reason } = JSON.parse(data) as { readonly reason: string };
        return reason === "disconnected" ? { type: "broken" } : { type: "end", end: undefined };
      },
    });
  }

  /**
   * Waits until its status is one of these, or until the function says so. A status that cannot change any more
   * (`terminated`, `failed`) and is not what was waited for throws at once.
   */
  async until(
    wanted: SessionView["status"] | readonly SessionView["status"][] | ((session: SessionView) => boolean),
    options: WaitOptions = {},
  ): Promise<SessionView> {
    const { signal, withinMs = usualWaitMs } = options;
    const fits = typeof wanted === "function" ? wanted : ({ status }: SessionView) => [wanted].flat().includes(status);
    const words = typeof wanted === "function" ? "as wanted" : [wanted].flat().join(" or ");
    const until = Date.now() + withinMs;
    let etag: string | undefined;
    let last: SessionView | null = null;
    for (let lookMs = firstLookMs; ; lookMs = Math.min(lastLookMs, lookMs * 1.5)) {
      const headers = { "if-none-match": etag };
      const told = await this.#transport.told(
        { operation: "getSession", parameters: { id: this.id }, headers, repeatable: true },
        { signal },
      );
      // 304: nothing changed, and what was there did not fit.
      if (told.status !== 304) {
        last = told.body;
        etag = told.headers.get("etag") ?? undefined;
        if (fits(last)) return last;
        if (last.status === "terminated" || last.status === "failed") {
          throw new WaitTimeoutError(
            `Session ${this.id} is ${last.status} (${last.failure ?? last.terminate_reason ?? "no reason"}) and will never be ${words}.`,
            `until ${words}`,
          );
        }
      }
      if (Date.now() + lookMs > until) {
        throw new WaitTimeoutError(
          `Session ${this.id} is still ${last?.status} after ${withinMs} ms, not ${words}.`,
          `until ${words}`,
        );
      }
      await sleep(lookMs, signal);
    }
  }
}
