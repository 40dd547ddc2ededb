/** One session. Holds no state but its id: every answer is Mooring's newest. */
import { isProblem, WaitTimeoutError } from "./errors.ts";
import { follow } from "./event-stream.ts";
import { Job } from "./job.ts";
import { everyPage } from "./pages.ts";
import { sleep } from "./pacing.ts";
import { freshKey } from "./fresh-key.ts";
import type { Call, CallOptions, Transport } from "./transport.ts";
import type { AnswerOf, BodyFor, CreateJob, JobView, SessionEvent, SessionView, Teardown } from "./types.ts";

export interface WaitOptions extends CallOptions {
  /** How long to wait at most, ms; 10 minutes when left out. Then a WaitTimeoutError is thrown. */
  readonly withinMs?: number | undefined;
}

export interface LaunchOptions extends CallOptions {
  /** Ask Mooring to hold the answer until the session runs, seconds, 60 at most. */
  readonly waitSeconds?: number | undefined;
}

const usualWaitMs = 600_000;
/** A session changes its status in moments or in minutes: looks begin close and become rarer. */
const firstLookMs = 200;
const lastLookMs = 3_000;

export class Session {
  readonly #transport: Transport;
  readonly id: string;

  constructor(transport: Transport, id: string) {
    this.#transport = transport;
    this.id = id;
  }

  /** As it stands. Throws `not_found` once it is erased. */
  read(options: CallOptions = {}): Promise<SessionView> {
    return this.#json({ method: "GET", path: this.#path(), repeatable: true }, options);
  }

  /** Sets `end_at` to so many seconds from now, earlier or later. Never sent twice: a late repeat would undo a newer one. */
  setTimeout(seconds: number, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"setSessionTimeout"> = { timeout_seconds: seconds };
    return this.#json({ method: "POST", path: this.#path("/timeout"), json, repeatable: false }, options);
  }

  /** `end_at` becomes at least so many seconds from now; never shortens. */
  refresh(seconds: number, options: CallOptions = {}): Promise<SessionView> {
    const json: BodyFor<"refreshSession"> = { duration_seconds: seconds };
    return this.#json({ method: "POST", path: this.#path("/refresh"), json, repeatable: true }, options);
  }

  /** Restarts the idle clock; `end_at` does not move. */
  keepalive(options: CallOptions = {}): Promise<AnswerOf<"keepSessionAlive">> {
    return this.#json({ method: "POST", path: this.#path("/keepalive"), repeatable: true }, options);
  }

  /** Saves its files and gives the sandbox back. The answer comes at once: `until("paused")` waits for it. */
  pause(options: CallOptions = {}): Promise<SessionView> {
    return this.#json({ method: "POST", path: this.#path("/pause"), repeatable: false }, options);
  }

  /** Goes on where a paused session was. `timeout_seconds` sets its end anew, else its own timeout does. */
  resume(body: BodyFor<"resumeSession"> = {}, options: LaunchOptions = {}): Promise<SessionView> {
    const { waitSeconds } = options;
    return this.#json(
      { method: "POST", path: this.#path("/resume"), json: body, waitSeconds, repeatable: false },
      options,
    );
  }

  /** Replaces its sandbox. A running one is saved first; of a lost one what was not saved is gone, hence the word. */
  rebuild(body: BodyFor<"rebuildSession">, options: LaunchOptions = {}): Promise<SessionView> {
    const { waitSeconds } = options;
    return this.#json(
      { method: "POST", path: this.#path("/rebuild"), json: body, waitSeconds, repeatable: false },
      options,
    );
  }

  /** Ends the running jobs; what is queued stays. */
  interrupt(options: CallOptions = {}): Promise<AnswerOf<"interruptSession">> {
    return this.#json({ method: "POST", path: this.#path("/interrupt"), repeatable: false }, options);
  }

  /** Asks for its end: stored at once, in every state, safe to repeat. `end()` also waits for the proof. */
  delete(options: CallOptions = {}): Promise<SessionView> {
    return this.#json({ method: "DELETE", path: this.#path(), repeatable: true }, options);
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
    return this.#json({ method: "GET", path: this.#path("/teardown"), repeatable: true }, options);
  }

  /** Why it is as it is: what keeps it alive, which clock fires next, what blocks it, and the exact next call. */
  explain(options: CallOptions = {}): Promise<AnswerOf<"explainSession">> {
    return this.#json({ method: "GET", path: this.#path("/explain"), repeatable: true }, options);
  }

  /** Seconds by status and provider. */
  usage(options: CallOptions = {}): Promise<AnswerOf<"getUsage">> {
    return this.#json({ method: "GET", path: this.#path("/usage"), repeatable: true }, options);
  }

  /** The sandbox's log and the last words of its jobs, `tailBytes` of each (8192). */
  logs(options: CallOptions & { readonly tailBytes?: number } = {}): Promise<AnswerOf<"getLogs">> {
    const query = { tail_bytes: options.tailBytes };
    return this.#json({ method: "GET", path: this.#path("/logs"), query, repeatable: true }, options);
  }

  /** What its sandbox uses. */
  resources(options: CallOptions = {}): Promise<AnswerOf<"getResources">> {
    return this.#json({ method: "GET", path: this.#path("/resources"), repeatable: true }, options);
  }

  /**
   * Runs a command (`sh -c`), or a whole order with `argv`, `env`, `cwd` and so on. It gets an id here when it has none, so
   * that a repeat after a lost answer finds the same job: it runs once.
   */
  async run(order: string | CreateJob, options: CallOptions = {}): Promise<Job> {
    const given: CreateJob = typeof order === "string" ? { command: order } : order;
    const json: CreateJob = { ...given, id: given.id ?? freshKey() };
    const call: Call = { method: "POST", path: this.#path("/jobs"), json, repeatable: true };
    return this.job((await this.#json<JobView>(call, options)).id);
  }

  /** A job by its id. Asks nothing. */
  job(id: string): Job {
    return new Job(this.#transport, this.id, encodeURIComponent(id));
  }

  /** Its jobs in the order in which they were made, page after page. */
  jobs(options: CallOptions & { readonly limit?: number } = {}): AsyncGenerator<JobView, void, void> {
    const { limit } = options;
    return everyPage(async (cursor) => {
      const call: Call = { method: "GET", path: this.#path("/jobs"), query: { limit, cursor }, repeatable: true };
      const page = await this.#json<AnswerOf<"listJobs">>(call, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** What happened so far, oldest first, from the event after the sequence `after` on. */
  history(options: CallOptions & { readonly after?: number } = {}): AsyncGenerator<SessionEvent, void, void> {
    return everyPage(async (cursor) => {
      const query = { after: cursor ?? options.after, limit: 100 };
      const call: Call = { method: "GET", path: this.#path("/events"), query, repeatable: true };
      const page = await this.#json<AnswerOf<"listEvents">>(call, options);
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
          { method: "GET", path: this.#path("/events"), headers, repeatable: true },
          options,
        );
      },
      take: ({ event, id, data }) => {
        if (event === undefined || event === "message") {
          return { type: "item", item: JSON.parse(data) as SessionEvent, position: Number(id) };
        }
        if (event !== "end") return { type: "nothing" };
        const { reason } = JSON.parse(data) as { readonly reason: string };
        return reason === "erased" ? { type: "end", end: undefined } : { type: "broken" };
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
      const told = await this.#transport.told<SessionView>(
        { method: "GET", path: this.#path(), headers, repeatable: true },
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

  #path(rest = ""): string {
    return `/v1/sessions/${this.id}${rest}`;
  }

  #json<T>(call: Call, options: CallOptions): Promise<T> {
    return this.#transport.json<T>(call, options);
  }
}
