/** Mooring's HTTP API as the demo and the end-to-end tests use it. Every answer is parsed by the protocol's own schemas; a problem becomes an error that carries its detail. */
import type { z } from "zod";
import { eventView, type EventView } from "../../src/protocol/resources/session/events.ts";
import {
  type CreateJob,
  jobView,
  type JobView,
  outputEnd,
  outputEvent,
} from "../../src/protocol/resources/session/jobs.ts";
import { problemBody } from "../../src/protocol/problem.ts";
import {
  type CreateSession,
  sessionView,
  type SessionView,
  teardownView,
  type TeardownView,
} from "../../src/protocol/resources/session/sessions.ts";

export type OutputEnd = z.infer<typeof outputEnd>;

export class Api {
  readonly #url: string;
  readonly #key: string;
  readonly #signal: AbortSignal;

  /** `signal` ends every request and stream: the way out of the story. */
  constructor(url: string, key: string, signal: AbortSignal) {
    this.#url = url;
    this.#key = key;
    this.#signal = signal;
  }

  async create(order: CreateSession): Promise<SessionView> {
    return this.#parsed(sessionView, await this.#send("POST", "/v1/sessions", order));
  }

  async session(id: string): Promise<SessionView> {
    return this.#parsed(sessionView, await this.#send("GET", `/v1/sessions/${id}`));
  }

  async delete(id: string): Promise<SessionView> {
    return this.#parsed(sessionView, await this.#send("DELETE", `/v1/sessions/${id}`));
  }

  async keepalive(id: string): Promise<void> {
    await (await this.#send("POST", `/v1/sessions/${id}/keepalive`)).body?.cancel();
  }

  async pause(id: string): Promise<SessionView> {
    return this.#parsed(sessionView, await this.#send("POST", `/v1/sessions/${id}/pause`));
  }

  async resume(id: string): Promise<SessionView> {
    return this.#parsed(sessionView, await this.#send("POST", `/v1/sessions/${id}/resume`));
  }

  async rebuild(id: string): Promise<SessionView> {
    return this.#parsed(sessionView, await this.#send("POST", `/v1/sessions/${id}/rebuild`, { confirm: true }));
  }

  async receipt(id: string): Promise<TeardownView> {
    return this.#parsed(teardownView, await this.#send("GET", `/v1/sessions/${id}/teardown`));
  }

  async run(id: string, order: CreateJob): Promise<JobView> {
    return this.#parsed(jobView, await this.#send("POST", `/v1/sessions/${id}/jobs`, order));
  }

  async job(id: string, job: string): Promise<JobView> {
    return this.#parsed(jobView, await this.#send("GET", `/v1/sessions/${id}/jobs/${job}`));
  }

  /** Live; ends when the caller stops reading. */
  async *events(id: string): AsyncGenerator<EventView> {
    for await (const { event, data } of this.#stream(`/v1/sessions/${id}/events`)) {
      if (event === "message") yield eventView.parse(JSON.parse(data));
    }
  }

  /** Pieces of text as they come; the value of the generator is how it ended. */
  async *output(id: string, job: string): AsyncGenerator<string, OutputEnd> {
    for await (const { event, data } of this.#stream(`/v1/sessions/${id}/jobs/${job}/output`)) {
      if (event === "output") yield outputEvent.parse(JSON.parse(data)).text;
      if (event === "end") return outputEnd.parse(JSON.parse(data));
    }
    throw new Error(`The output of job ${job} ended without saying why.`);
  }

  async #send(method: string, path: string, body?: unknown, accept = "application/json"): Promise<Response> {
    const reply = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        accept,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: this.#signal,
    });
    if (reply.ok) return reply;
    const text = await reply.text();
    const problem = problemBody.safeParse(parsedJson(text));
    const why = problem.success ? `${problem.data.code}: ${problem.data.detail}` : text.slice(0, 300);
    throw new Error(`${method} ${path} answered ${reply.status} ${why}`);
  }

  async #parsed<T>(schema: z.ZodType<T>, reply: Response): Promise<T> {
    return schema.parse(await reply.json());
  }

  async *#stream(path: string): AsyncGenerator<{ readonly event: string; readonly data: string }> {
    const reply = await this.#send("GET", path, undefined, "text/event-stream");
    if (reply.body === null) throw new Error(`GET ${path} answered without a body.`);
    let rest = "";
    for await (const chunk of reply.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = /^event: (.*)$/m.exec(block)?.[1] ?? "message";
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data !== undefined) yield { event, data };
      }
    }
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
