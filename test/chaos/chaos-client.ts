/**
 * A client that gives up early and tells everything: each answer is either what the protocol says or a whole problem,
 * and what is neither is kept as a breach. No answer at all is no breach: the control plane is being killed.
 */
import type { z } from "zod";
import { problemBody, type ProblemCode, problemStatus } from "../../src/protocol/problem.ts";

export type Answer<T> =
  | { readonly type: "value"; readonly value: T; readonly status: number }
  | {
      readonly type: "problem";
      readonly code: ProblemCode;
      readonly detail: string;
      readonly limit: number | null;
      readonly used: number | null;
    }
  | { readonly type: "silence"; readonly why: string };

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

export class ChaosClient {
  /** Answers that no client should ever see. */
  readonly breaches: string[] = [];
  readonly answers = new Map<string, number>();
  readonly #url: string;
  readonly #key: string;
  readonly #signal: AbortSignal;

  constructor(url: string, key: string, signal: AbortSignal) {
    this.#url = url;
    this.#key = key;
    this.#signal = signal;
  }

  async ask<T>(method: string, path: string, schema: z.ZodType<T>, ask: Ask = {}): Promise<Answer<T>> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(ask.timeoutMs ?? 15_000)]);
    let status: number;
    let type: string;
    let text: string;
    try {
      const reply = await fetch(`${this.#url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.#key}`,
          ...(ask.body === undefined ? {} : { "content-type": "application/json" }),
          ...ask.headers,
        },
        ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
        signal,
      });
      status = reply.status;
      type = reply.headers.get("content-type") ?? "";
      text = await reply.text();
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#count("no answer");
      return { type: "silence", why: error instanceof Error ? error.message : String(error) };
    }
    const asked = `${method} ${path.replaceAll(/[a-z0-9]{20}/g, "{id}")}`;
    if (status < 400) {
      const parsed = schema.safeParse(json(text));
      if (parsed.success) {
        this.#count("as asked");
        return { type: "value", value: parsed.data, status };
      }
      return this.#breach(`${asked} answered ${status} in another shape: ${parsed.error.message.slice(0, 200)}`);
    }
    const problem = problemBody.strict().safeParse(json(text));
    if (!problem.success || type !== "application/problem+json" || problemStatus[problem.data.code] !== status) {
      // The development server in front of workerd, not Mooring, says these while workerd is away.
      if (isDevelopmentProxy(status, text)) {
        this.#count("no answer");
        return { type: "silence", why: text.slice(0, 100) };
      }
      return this.#breach(`${asked} answered ${status} without a valid problem: ${text.slice(0, 200)}`);
    }
    if (status === 500) return this.#breach(`${asked} answered 500: ${problem.data.detail}`);
    const { code, detail, limit = null, used = null } = problem.data;
    this.#count(`${status} ${code}`);
    return { type: "problem", code, detail, limit, used };
  }

  /** Begins to read and goes away: what a client's disconnect does to a job must be nothing. */
  async glance(path: string, ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(ms)]);
    try {
      const reply = await fetch(`${this.#url}${path}`, {
        headers: { authorization: `Bearer ${this.#key}`, accept: "text/event-stream" },
        signal,
      });
      await reply.text();
    } catch {
      this.#signal.throwIfAborted();
    }
  }

  #count(what: string): void {
    this.answers.set(what, (this.answers.get(what) ?? 0) + 1);
  }

  #breach(what: string): { readonly type: "silence"; readonly why: string } {
    this.breaches.push(what);
    return { type: "silence", why: what };
  }
}

function isDevelopmentProxy(status: number, text: string): boolean {
  return status === 503 && text.startsWith("Your worker restarted mid-request");
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
