/** Server-sent events of a service: one at a time, each when the client has taken the last. */
import { once } from "node:events";
import type { Exchange } from "./exchange.ts";

/** Proxies close what is silent. */
const heartbeatMs = 15_000;

export class EventStream {
  readonly #exchange: Exchange;
  readonly #timer: NodeJS.Timeout;
  #lastAt = performance.now();

  constructor(exchange: Exchange, status = 200) {
    this.#exchange = exchange;
    exchange.response.writeHead(status, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    });
    exchange.response.flushHeaders();
    this.#timer = setInterval(() => this.#beat(), heartbeatMs / 3);
    exchange.gone.addEventListener("abort", () => clearInterval(this.#timer));
  }

  async send(name: string, data: object, id?: number): Promise<void> {
    const { response, gone } = this.#exchange;
    if (gone.aborted) return;
    this.#lastAt = performance.now();
    const text = `event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
    if (!response.write(text)) await once(response, "drain", { signal: gone }).catch(() => {});
  }

  end(): void {
    clearInterval(this.#timer);
    this.#exchange.response.end();
  }

  #beat(): void {
    const { response } = this.#exchange;
    if (performance.now() - this.#lastAt < heartbeatMs || response.writableNeedDrain) return;
    response.write(": heartbeat\n\n");
    this.#lastAt = performance.now();
  }
}
