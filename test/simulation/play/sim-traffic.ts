/**
 * A client of the sandbox itself: single requests and streams that stay open, through the real gate. What it is shown must be true: a
 * stream that was cut never looks as if it had come to its end, and no answer comes from an instance that was retired (world-checks.ts).
 */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import type { Clock } from "../../../src/runtime/clock-ids-logger.ts";
import type { Caller } from "../../../src/session/session-api.ts";
import { TrafficGate } from "../../../src/traffic/traffic-gate.ts";
import { instantTrafficKeys } from "../../support/instant-traffic-keys.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";
import type { SessionWatch } from "../checks/session-watch.ts";
import type { SimNet } from "./sim-net.ts";
import type { Trace } from "./trace.ts";

export interface SimTrafficDependencies {
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly net: SimNet;
  readonly trace: Trace;
  readonly sandbox: AgentSandbox;
  readonly object: (id: SessionId) => SessionWatch;
  readonly violated: (what: string) => void;
}

export class SimTraffic {
  readonly #dependencies: SimTrafficDependencies;
  readonly #gate: TrafficGate;

  constructor(dependencies: SimTrafficDependencies) {
    this.#dependencies = dependencies;
    const { random, clock, net, sandbox, object } = dependencies;
    this.#gate = new TrafficGate({
      session: (id) => ({
        pass: (caller, waitMs) => net.call("pass", id, () => object(id).object.call((api) => api.pass(caller, waitMs))),
      }),
      provider: () => sandbox,
      keys: instantTrafficKeys,
      clock,
      ids: {
        id: () => random.text(20, "abcdef"),
        secret: () => random.text(64, "0123456789abcdef"),
        random: () => 0.5,
      },
      log: { info: () => {}, warn: () => {}, error: () => {} },
    });
  }

  /** One request, or several at once: a paused session that resumes by itself is then resumed once. */
  async requests(caller: Caller, id: SessionId, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#request(caller, id)));
  }

  async #request(caller: Caller, id: SessionId): Promise<void> {
    const { trace } = this.#dependencies;
    const answer = await this.#send(caller, id, "ports/1/hello");
    if (answer === null) return;
    const said = await answer.text().catch(() => "");
    trace.note("traffic", () => `${id.slice(0, 6)}: ${said}`);
  }

  /** Open until it is cut, or for that long. */
  async stream(caller: Caller, id: SessionId, ms: number): Promise<void> {
    const { clock, violated, trace } = this.#dependencies;
    const answer = await this.#send(caller, id, "ports/1/stream");
    const reader = answer?.body?.getReader();
    if (reader === undefined) return;
    const left = clock.sleep(ms).then(() => "left" as const);
    for (;;) {
      const read = reader.read().catch(() => "cut" as const);
      const next = await Promise.race([read, left]);
      if (next === "left") {
        await reader.cancel().catch(() => {});
        return;
      }
      if (next === "cut") return trace.note("traffic", () => `${id.slice(0, 6)}: a stream was cut`);
      if (next.done) return violated(`TRA-9: a stream of ${id} that was cut looks as if it had come to its end`);
    }
  }

  async #send(caller: Caller, id: SessionId, path: string): Promise<Response | null> {
    try {
      const order = { method: "GET", path, headers: new Headers(), body: null };
      const sent = await this.#gate.send(caller, id, order);
      return sent.ok ? sent.value : null;
    } catch {
      return null;
    }
  }
}
