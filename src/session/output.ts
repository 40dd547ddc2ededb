/**
 * A job's output as one byte stream from an offset: live from the wrapper while its sandbox lives, from the stored tail
 * afterwards. A stream never outlives the lease it reads from (API-13), and reading is not activity (I12).
 */
import type { Generation, JobId } from "../domain/ids.ts";
import { jobNotFound } from "./refusals.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { SessionAccess } from "./access.ts";
import { bounded, timedOut } from "./bounded.ts";
import { isSettled, type Job } from "./job-store.ts";
import type { JobRunner } from "./jobs.ts";

export interface Output {
  /** Offset of the first byte of the body. */
  readonly from: number;
  readonly body: ReadableStream<Uint8Array>;
}

export class OutputReader {
  readonly #at: SessionAccess;
  readonly #runner: JobRunner;
  readonly #open = new Map<AbortController, Generation>();

  constructor(at: SessionAccess, runner: JobRunner) {
    this.#at = at;
    this.#runner = runner;
    at.state.onChange(() => this.#endStale());
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
    const lease = this.#at.state.session?.newest;
    return lease?.phase === "held" ? lease.generation : null;
  }

  async open(id: JobId, offset: number): Promise<Reply<Output>> {
    const job = this.#at.jobs.get(id);
    if (job === null) return { ok: false, problem: jobNotFound };
    if (!isSettled(job) && job.state !== "running") {
      // Not there yet: a client that streams right after creating a job should not have to poll.
      const waiting = () => {
        const now = this.#at.jobs.get(id);
        return (
          now !== null &&
          !isSettled(now) &&
          now.state !== "running" &&
          this.#at.state.session?.desired.type === "running"
        );
      };
      await this.#at.wait(() => !waiting(), 60_000);
    }
    const now = this.#at.jobs.get(id) ?? job;
    const live = await this.#live(now, offset);
    if (live !== null) return live;
    return { ok: true, value: stored(this.#at.jobs.get(id) ?? now, offset) };
  }

  /** null: its sandbox is not there (any more). */
  async #live(job: Job, offset: number): Promise<Reply<Output> | null> {
    const lease = this.#at.state.session?.newest;
    if (lease?.phase !== "held" || lease.generation !== job.generation) return null;
    const wrapper = this.#runner.wrapperOf(lease);
    if (wrapper === null) return null;
    const { clock, policy } = this.#at.ports;
    const ended = new AbortController();
    const answer = await bounded(clock, policy.observeMs, (bound) =>
      wrapper.output(job.id, offset, {
        timeoutMs: bound.timeoutMs,
        signal: AbortSignal.any([bound.signal, ended.signal]),
      }),
    );
    if (answer === timedOut) return { ok: false, problem: unreachable };
    if (!answer.ok) return answer.failure.code === "not_found" ? null : { ok: false, problem: unreachable };
    this.#open.set(ended, lease.generation);
    // The lease may have ended while the wrapper was asked (FEN-2).
    this.#endStale();
    const body = watched(answer.value, async () => {
      this.#open.delete(ended);
      // The end of the output is the first we hear of the job's end: learn its exit code now.
      await this.#runner.refresh(job.id);
    });
    return { ok: true, value: { from: offset, body } };
  }
}

const unreachable: Problem = {
  code: "sandbox_unreachable",
  detail:
    "The sandbox did not answer. It is being looked after; the job goes on if it can. Try again in some seconds, from the same offset.",
};

/** Passes bytes through one chunk at a time (backpressure reaches the wrapper) and calls `onEnd` before it closes. */
function watched(source: ReadableStream<Uint8Array>, onEnd: () => Promise<void>): ReadableStream<Uint8Array> {
  const reader = largeReads(source);
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done && value !== undefined) {
          controller.enqueue(value);
          return;
        }
      } catch {
        // It broke off: to the reader that is an end, whose reason is in the job's state.
      }
      await onEnd();
      controller.close();
      controller.byobRequest?.respond(0);
    },
    async cancel(reason) {
      // A client that goes away ends its stream, never the job (FEN-10).
      await reader.cancel(reason);
    },
  });
}

const chunkBytes = 128 * 1_024;

/** As much at once as there is, up to a chunk. A source of the platform's would otherwise hand out 4 kB at a time. */
function largeReads(source: ReadableStream<Uint8Array>): {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(reason: unknown): Promise<void>;
} {
  try {
    const reader = source.getReader({ mode: "byob" });
    return { read: () => reader.read(new Uint8Array(chunkBytes)), cancel: (reason) => reader.cancel(reason) };
  } catch {
    // Not a stream of bytes: it gives the chunks it has.
    const reader = source.getReader();
    return { read: () => reader.read(), cancel: (reason) => reader.cancel(reason) };
  }
}

/** The stored tail. It may begin past the offset asked for: `from` says so. */
function stored(job: Job, offset: number): Output {
  const { tailFrom } = job;
  const tail = job.tail ?? new Uint8Array();
  const from = Math.min(Math.max(offset, tailFrom), tailFrom + tail.length);
  const bytes = tail.slice(from - tailFrom);
  return {
    from,
    body: new ReadableStream({
      type: "bytes",
      start(controller) {
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
      },
    }),
  };
}
