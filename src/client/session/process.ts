/** One process of a session's sandbox, by its pid. It has no record: what must be done whatever happens is a job. */
import { ConnectionError } from "../errors.ts";
import { follow, type Taken } from "../wire/event-stream.ts";
import type { CallOptions, Transport } from "../wire/transport.ts";
import type { ProcessExit, ProcessView, SignalProcess } from "../types.ts";
import { fromBase64 } from "../../protocol/bytes.ts";

/** `gap`: bytes that nobody read in time; they are gone. */
export type ProcessChunk =
  | { readonly stream: "stdout" | "stderr" | "terminal"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly stream: "gap"; readonly offset: number; readonly to: number };

export interface Executed {
  readonly pid: number;
  readonly stdout: string;
  readonly stderr: string;
  /** null: a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
}

export class Process {
  readonly #transport: Transport;
  readonly sessionId: string;
  readonly pid: number;

  constructor(transport: Transport, sessionId: string, pid: number) {
    this.#transport = transport;
    this.sessionId = sessionId;
    this.pid = pid;
  }

  get #parameters(): { readonly id: string; readonly pid: string } {
    return { id: this.sessionId, pid: String(this.pid) };
  }

  /** As it stands, also for ten minutes after its end. */
  read(options: CallOptions = {}): Promise<ProcessView> {
    return this.#transport.json({ operation: "getProcess", parameters: this.#parameters, repeatable: true }, options);
  }

  /** Ends it with all that it started; answers when nothing of it is left. */
  end(options: CallOptions & { readonly graceSeconds?: number } = {}): Promise<ProcessView> {
    const query = { grace_seconds: options.graceSeconds?.toString() };
    return this.#transport.json(
      { operation: "endProcess", parameters: this.#parameters, query, repeatable: true },
      options,
    );
  }

  /** To it alone; with `group` to its whole group, as a terminal does it. */
  async signal(
    signal: SignalProcess["signal"],
    options: CallOptions & { readonly group?: boolean } = {},
  ): Promise<void> {
    const json = { signal, group: options.group === true };
    const call = { operation: "signalProcess", parameters: this.#parameters, json, repeatable: false } as const;
    await this.#transport.text(call, options);
  }

  /** To its standard input, or its terminal. Resolves when it has taken it. Never sent twice. */
  async write(input: Uint8Array | string, options: CallOptions & { readonly end?: boolean } = {}): Promise<void> {
    const query = { end: options.end === true ? "true" : undefined } as const;
    const parameters = this.#parameters;
    await this.#transport.text(
      { operation: "writeProcessInput", parameters, query, bytes: input, repeatable: false, unbounded: true },
      options,
    );
  }

  async resize(cols: number, rows: number, options: CallOptions = {}): Promise<void> {
    const json = { cols, rows };
    const call = { operation: "resizeTerminal", parameters: this.#parameters, json, repeatable: true } as const;
    await this.#transport.text(call, options);
  }

  /** Yields what the process writes, from byte `offset` on, and returns its exit. A broken connection is reopened at the exact byte. */
  output(options: CallOptions & { readonly offset?: number } = {}): AsyncGenerator<ProcessChunk, ProcessExit, void> {
    return this.following(options, null);
  }

  /** As `output`; `first`: an answer that holds the beginning already. */
  following(
    options: CallOptions & { readonly offset?: number },
    first: Response | null,
  ): AsyncGenerator<ProcessChunk, ProcessExit, void> {
    let opened = first;
    return follow<ProcessChunk, ProcessExit>({
      what: `The output of process ${this.pid}`,
      from: options.offset ?? 0,
      signal: options.signal,
      retry: this.#transport.retry,
      open: async (position) => {
        const answer = opened;
        opened = null;
        if (answer !== null) return answer;
        const headers = { accept: "text/event-stream", "last-event-id": String(position) };
        const call = { operation: "followProcess", parameters: this.#parameters, headers, repeatable: true } as const;
        return this.#transport.stream(call, options);
      },
      take: taken,
    });
  }
}

function taken({
  event,
  id,
  data,
}: {
  event?: string | undefined;
  id?: string | undefined;
  data: string;
}): Taken<ProcessChunk, ProcessExit> {
  switch (event) {
    case "stdout":
    case "stderr":
    case "terminal": {
      const { offset, text, base64 } = JSON.parse(data) as { offset: number; text?: string; base64?: string };
      const bytes = text === undefined ? fromBase64(base64 ?? "") : new TextEncoder().encode(text);
      return { type: "item", item: { stream: event, offset, bytes }, position: Number(id) };
    }
    case "gap": {
      const { from, to } = JSON.parse(data) as { from: number; to: number };
      return { type: "item", item: { stream: "gap", offset: from, to }, position: to };
    }
    case "exit":
      return { type: "end", end: JSON.parse(data) as ProcessExit };
    case undefined:
    default:
      return { type: "nothing" };
  }
}

/** Reads a process to its end. */
export async function executed(
  pid: number,
  output: AsyncGenerator<ProcessChunk, ProcessExit, void>,
): Promise<Executed> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder(), terminal: new TextDecoder() };
  const texts = { stdout: "", stderr: "", terminal: "" };
  for (;;) {
    const next = await output.next();
    if (next.done === true) {
      const { exit_code: exitCode, signal, timed_out: timedOut } = next.value;
      const stdout = texts.stdout + texts.terminal + decoders.stdout.decode() + decoders.terminal.decode();
      return { pid, stdout, stderr: texts.stderr + decoders.stderr.decode(), exitCode, signal, timedOut };
    }
    const { value } = next;
    if (value.stream !== "gap") texts[value.stream] += decoders[value.stream].decode(value.bytes, { stream: true });
  }
}

/** What a process that was just started says of itself, and the answer with all of it still to be read. */
export async function firstEvent(answer: Response): Promise<readonly [ProcessView, Response]> {
  if (answer.body === null)
    throw new TypeError(
      "The answer has no body to read the process's events from: this `fetch` does not stream, or a proxy took it away.",
    );
  const [look, rest] = answer.body.tee();
  const reader = look.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (value !== undefined) text += decoder.decode(value, { stream: true });
      const [, data] = /^event: start\ndata: (.*)\n\n/m.exec(text) ?? [];
      if (data !== undefined) return [JSON.parse(data) as ProcessView, new Response(rest)];
      if (done)
        throw new ConnectionError("The process was started, and the connection broke off at once.", "startProcess");
    }
  } finally {
    // The other half goes on; without a reader this half would collect all of it. Not awaited: a half is cancelled only once both are.
    reader.cancel().catch(() => {});
  }
}
