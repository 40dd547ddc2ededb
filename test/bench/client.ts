/** The calls that the measures make of Mooring; anything but success is an error, since a refusal would be timed as an answer. */
import { setTimeout as pause } from "node:timers/promises";
import type { SessionView, TeardownView } from "../../src/protocol/resources/session/sessions.ts";
import type { JobView } from "../../src/protocol/resources/session/jobs.ts";

export class BenchClient {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(url: string, key: string) {
    this.url = url;
    this.headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  }

  async call<T>(method: string, path: string, body?: object, wait?: number): Promise<T> {
    const reply = await fetch(`${this.url}${path}`, {
      method,
      headers: { ...this.headers, ...(wait === undefined ? {} : { prefer: `wait=${wait}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path} was answered ${reply.status}: ${text.slice(0, 300)}`);
    return JSON.parse(text) as T;
  }

  async create(body: object = {}): Promise<SessionView> {
    const session = await this.call<SessionView>("POST", "/v1/sessions", body, 30);
    if (session.status !== "running") throw new Error(`${session.id} is ${session.status}, not running`);
    return session;
  }

  async job(session: string, command: string): Promise<JobView> {
    const made = await this.call<JobView>("POST", `/v1/sessions/${session}/jobs`, { command });
    const ended = await this.call<JobView>("GET", `/v1/sessions/${session}/jobs/${made.id}`, undefined, 30);
    if (ended.state !== "succeeded") throw new Error(`the job of ${session} is ${ended.state}`);
    return ended;
  }

  /** Until its newest sandbox is proven gone. */
  async receipt(session: string, withinMs = 60_000): Promise<TeardownView> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      // Not /teardown: that is 404 until the stop has begun.
      const { teardown } = await this.call<SessionView>("GET", `/v1/sessions/${session}`);
      if (teardown?.verified_absent_at != null) return teardown;
      if (performance.now() > deadline) throw new Error(`${session} has no receipt after ${withinMs} ms`);
      await pause(10);
    }
  }
}
