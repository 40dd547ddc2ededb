/**
 * A job's output as one byte stream from an offset: live from the wrapper while its sandbox lives, from the stored tail
 * afterwards. A stream never outlives the lease it reads from, and reading is not activity.
 *
 * A stream has no gap: it ends before bytes that were dropped, and the next one, asked for from there, begins after them.
 * A job that has not begun is answered at once too; its stream waits, because a client must not take silence for a failure.
 */
import type { ProviderFailure } from "../../../domain/state/failure.ts";
import type { Generation, JobId } from "../../../domain/state/ids.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { WrapperClient } from "../../../sandbox/agent-sandbox.ts";
import { bounded, over, timedOut } from "../../../calls/bounded-call.ts";
import { isSettled, type Job } from "../../jobs/job-row.ts";
import type { JobResults } from "../../jobs/job-results.ts";
import type { CommandContext } from "../command-context.ts";
import { bytesOf, passThrough, startedLater } from "./output-body.ts";
import { refuse } from "../refusals.ts";
import { jobNotFound } from "../../../protocol/not-found.ts";

export interface Output {
  /** Offset of the first byte of the body. */
  readonly from: number;
  readonly body: ReadableStream<Uint8Array>;
}

/** A wait for a change is looked at again after this long; nothing depends on it. */
const waitAgainMs = 60_000;

export class OutputReader {
  readonly #context: CommandContext;
  readonly #results: JobResults;
  readonly #open = new Map<AbortController, Generation>();

  constructor(context: CommandContext, results: JobResults) {
    this.#context = context;
    this.#results = results;
    context.state.onChange(() => this.#endStale());
  }

  /** A stream of a generation that is not held any more ends. */
  #endStale(): void {
    const held = this.#heldGeneration();
    for (const [controller, generation] of this.#open) {
      if (generation === held) continue;
      this.#open.delete(controller);
      controller.abort();
    }
  }

  #heldGeneration(): Generation | null {
    const lease = this.#context.state.session?.newest;
    return lease?.phase === "held" ? lease.generation : null;
  }

  open(id: JobId, offset: number): Promise<Reply<Output>> {
    const job = this.#context.jobs.get(id);
    if (job === null) return Promise.resolve(refuse(jobNotFound));
    if (!this.#begins(id)) return this.#now(id, offset);
    if (job.state === "queued" && offset > 0) return Promise.resolve(refuse(pastEnd(0)));
    const body = startedLater(async (cancelled) => {
      while (this.#begins(id) && !cancelled.aborted)
        await this.#context.wait(() => !this.#begins(id), waitAgainMs, cancelled);
      if (cancelled.aborted) return null;
      const begun = await this.#now(id, offset);
      if (!begun.ok) return null;
      if (begun.value.from === offset && !cancelled.aborted) return begun.value.body;
      // The answer was promised to begin at `offset`. The next request is told where the kept bytes begin.
      await begun.value.body.cancel(over);
      return null;
    });
    return Promise.resolve({ ok: true, value: { from: offset, body } });
  }

  /** It has not begun, and its session is on its way to begin it. */
  #begins(id: JobId): boolean {
    const job = this.#context.jobs.get(id);
    if (job === null || isSettled(job) || job.state === "running") return false;
    return this.#context.state.session?.desired.type === "running";
  }

  async #now(id: JobId, offset: number): Promise<Reply<Output>> {
    const job = this.#context.jobs.get(id);
    if (job === null) return refuse(jobNotFound);
    const live = await this.#live(job, offset);
    return live ?? stored(this.#context.jobs.get(id) ?? job, offset);
  }

  /** null: its sandbox is not there (any more). */
  async #live(job: Job, offset: number): Promise<Reply<Output> | null> {
    const lease = this.#context.state.session?.newest;
    if (lease?.phase !== "held" || lease.generation !== job.generation) return null;
    const wrapper = this.#results.wrapperOf(lease);
    if (wrapper === null) return null;
    const { clock, policy } = this.#context.ports;
    const ended = new AbortController();
    const answer = await bounded(clock, policy.observeMs, (bound) =>
      wrapper.output(job.id, offset, {
        timeoutMs: bound.timeoutMs,
        signal: AbortSignal.any([bound.signal, ended.signal]),
      }),
    );
    if (answer === timedOut) return refuse(unreachable);
    if (!answer.ok) return this.#refused(answer.failure, job, offset, wrapper);
    this.#open.set(ended, lease.generation);
    // The lease may have ended while the wrapper was asked.
    this.#endStale();
    const close = () => this.#open.delete(ended);
    const body = passThrough(answer.value.body, {
      ended: async () => {
        close();
        // The end of the output is the first we hear of the job's end: learn its exit code now.
        await this.#results.refresh(job.id);
      },
      // A client that goes away ends its stream, never the job.
      cancelled: close,
    });
    return { ok: true, value: { from: answer.value.from, body } };
  }

  async #refused(
    failure: ProviderFailure,
    job: Job,
    offset: number,
    wrapper: WrapperClient,
  ): Promise<Reply<Output> | null> {
    if (failure.code === "not_found") return null;
    if (failure.code === "not_ready") return refuse(notReady);
    if (failure.code !== "invalid" || offset === 0) return refuse(unreachable);
    const { clock, policy } = this.#context.ports;
    const detail = await bounded(clock, policy.observeMs, (bound) => wrapper.job(job.id, 0, bound));
    if (detail === timedOut || !detail.ok) return refuse(unreachable);
    return refuse(pastEnd(detail.value.output_bytes));
  }
}

const unreachable: Problem = {
  code: "sandbox_unreachable",
  detail:
    "The sandbox did not answer. It is being looked after; the job goes on if it can. Try again in some seconds, from the same offset.",
};

const notReady: Problem = {
  code: "session_not_running",
  detail:
    "The sandbox is about to end or to begin, so its jobs cannot be read now. Read the session to see how it stands, and try again from the same offset.",
};

function pastEnd(length: number): Problem {
  return {
    code: "offset_past_end",
    detail: `The output has ${length} bytes so far, so there is nothing at that offset. Read from an offset of at most ${length}.`,
    length,
  };
}

/** The stored tail. It may begin past the offset asked for: `from` says so. */
function stored(job: Job, offset: number): Reply<Output> {
  const { tail, tailFrom, outputBytes } = job;
  // Lost with its sandbox: how much there was is not known.
  if (tail === null) return { ok: true, value: { from: offset, body: bytesOf(new Uint8Array()) } };
  if (offset > outputBytes) return refuse(pastEnd(outputBytes));
  const from = Math.min(Math.max(offset, tailFrom), tailFrom + tail.length);
  return { ok: true, value: { from, body: bytesOf(tail.slice(from - tailFrom)) } };
}
