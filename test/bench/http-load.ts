/** A closed loop of HTTP requests over kept connections: each connection asks again as soon as it was answered. */
import { Agent, request } from "node:http";
import { createHistogram } from "node:perf_hooks";

export interface Asked {
  readonly method: "GET" | "PUT" | "POST";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Load {
  readonly perSecond: number;
  /** ms. */
  readonly p50: number;
  readonly p99: number;
}

/** Runs for about `ms`. An answer of 400 or above ends it with an error: a refusal is fast and would flatter. */
export async function load(asked: () => Asked, connections: number, ms: number): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const histogram = createHistogram();
  const from = performance.now();
  let answered = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() - from < ms) {
      const began = performance.now();
      const status = await send(asked(), agent);
      if (status >= 400) throw new Error(`${asked().method} ${asked().url} was answered ${status}`);
      histogram.record(Math.max(1, Math.round((performance.now() - began) * 1_000)));
      answered += 1;
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, loop));
  } finally {
    agent.destroy();
  }
  const seconds = (performance.now() - from) / 1_000;
  return {
    perSecond: answered / seconds,
    p50: histogram.percentile(50) / 1_000,
    p99: histogram.percentile(99) / 1_000,
  };
}

/** The time of one request, ms. */
export async function timed(asked: Asked, agent: Agent): Promise<number> {
  const began = performance.now();
  const status = await send(asked, agent);
  if (status >= 400) throw new Error(`${asked.method} ${asked.url} was answered ${status}`);
  return performance.now() - began;
}

function send({ method, url, headers, body }: Asked, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers: { ...headers } }, (reply) => {
      reply.on("error", reject);
      reply.on("end", () => resolve(reply.statusCode ?? 0));
      reply.resume();
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
