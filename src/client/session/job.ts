/** One job of a session. Holds no state but its names: every answer is Mooring's newest. */
import { ConnectionError } from "../errors.ts";
import { chunks, follow } from "../wire/event-stream.ts";
import { pauseMs, sleep } from "../wire/pacing.ts";
import type { CallOptions, Transport } from "../wire/transport.ts";
import type { JobView, OutputChunk, OutputEnd } from "../types.ts";

/** Mooring holds an answer this long at most, seconds. */
export const longestWait = 60;

export interface OutputOptions extends CallOptions {
  /** The byte to begin at; 0 when left out. */
  readonly offset?: number | undefined;
}

export class Job {
  readonly #transport: Transport;
  readonly sessionId: string;
  readonly id: string;

  constructor(transport: Transport, sessionId: string, id: string) {
    this.#transport = transport;
    this.sessionId = sessionId;
    this.id = id;
  }

  /** As it stands. With `waitSeconds` (60 at most) the answer comes as soon as the job has ended, or after that time. */
  read(options: CallOptions & { readonly waitSeconds?: number | undefined } = {}): Promise<JobView> {
    const { waitSeconds } = options;
    return this.#transport.json(
      { operation: "getJob", parameters: { id: this.sessionId, job: this.id }, repeatable: true, waitSeconds },
      options,
    );
  }

  /**
   * Waits until it has ended, however long that takes: bound it with `signal`. A failed command is an answer, not an error:
   * look at `state` and `exit_code`.
   */
  async done(options: CallOptions = {}): Promise<JobView> {
    for (;;) {
      const view = await this.read({ ...options, waitSeconds: longestWait / 2 });
      if (view.ended_at !== null) return view;
    }
  }

  /** Ends it with everything that it started. Safe to repeat; the answer may come before it has ended. */
  cancel(options: CallOptions = {}): Promise<JobView> {
    return this.#transport.json(
      { operation: "cancelJob", parameters: { id: this.sessionId, job: this.id }, repeatable: true },
      options,
    );
  }

  /**
   * Writes to its stdin (the job needs `stdin_open`); `end` closes it afterwards. Never sent twice: after a ConnectionError
   * it is not known whether the job has the bytes.
   */
  async write(input: Uint8Array | string, options: CallOptions & { readonly end?: boolean } = {}): Promise<void> {
    const query = { end: options.end === true ? "true" : undefined } as const;
    const call = {
      operation: "writeStdin",
      parameters: { id: this.sessionId, job: this.id },
      query,
      bytes: input,
      repeatable: false,
    } as const;
    await this.#transport.text(call, options);
  }

  /**
   * Its output as text while it runs, from the byte `offset` on; returns how it ended. A broken connection is resumed at
   * the exact byte. A chunk with a `gap` and no text names the bytes that are no longer kept. Bytes that are no UTF-8 become
   * U+FFFD: `outputBytes` has them all.
   *
   * Its `reason` is not always `finished`: after `sandbox_replaced` or `session_ended` the job may have more to say to nobody.
   */
  output(options: OutputOptions = {}): AsyncGenerator<OutputChunk, OutputEnd, void> {
    const { signal, offset = 0 } = options;
    return follow<OutputChunk, OutputEnd>({
      what: `The output of job ${this.id}`,
      from: offset,
      signal,
      retry: this.#transport.retry,
      open: (position) => this.#open(position, "text/event-stream", options),
      take: ({ event, id, data }) => {
        if (event === "output") return { type: "item", item: JSON.parse(data) as OutputChunk, position: Number(id) };
        if (event === "gap") {
          const gap = JSON.parse(data) as NonNullable<OutputChunk["gap"]>;
          return { type: "item", item: { offset: gap.from, text: "", gap }, position: gap.to };
        }
        if (event !== "end") return { type: "nothing" };
        const end = JSON.parse(data) as OutputEnd;
        return end.reason === "disconnected" ? { type: "broken" } : { type: "end", end };
      },
    });
  }

  /** Its output byte for byte, from the byte `offset` on, resumed at the exact byte. Returns the job as it ended. */
  async *outputBytes(options: OutputOptions = {}): AsyncGenerator<Uint8Array, JobView, void> {
    const { signal } = options;
    const order = { what: `The output of job ${this.id}`, signal };
    let position = options.offset ?? 0;
    for (let failures = 0; ;) {
      const response = await this.#open(position, "application/octet-stream", options);
      position = Number(response.headers.get("mooring-offset") ?? position);
      const before = position;
      const openedAt = Date.now();
      try {
        for await (const bytes of chunks(response, order)) {
          position += bytes.length;
          yield bytes;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof ConnectionError)) throw error;
      }
      // The bare bytes do not say why they ended: the job does.
      const job = await this.read({ ...options, waitSeconds: 1 });
      const whole = position >= job.output_bytes || position === before;
      if (job.ended_at !== null && whole) return job;
      // A quiet job sends nothing, and what stands in between cuts or forgets a quiet connection. The job was read just now, so
      // Mooring is there: only a connection that ends at once, without a byte, again and again, is a failure.
      const lasted = Date.now() - openedAt >= this.#transport.retry.maxMs;
      failures = position > before || lasted ? 0 : failures + 1;
      if (failures >= this.#transport.retry.attempts) {
        throw new ConnectionError(`${order.what} broke off ${failures} times in a row at ${position}.`, order.what);
      }
      if (failures > 0) await sleep(pauseMs(failures, this.#transport.retry), signal);
    }
  }

  #open(offset: number, accept: string, options: CallOptions): Promise<Response> {
    const parameters = { id: this.sessionId, job: this.id };
    const call = {
      operation: "streamOutput",
      parameters,
      query: { offset: String(offset) },
      headers: { accept },
    } as const;
    return this.#transport.stream({ ...call, repeatable: true }, options);
  }
}
