/**
 * What an agent of the memory world serves as traffic: it says which instance answered. `ports/1/stream` stays open until it is cut.
 * Cutting is destroying: a reader sees a stream that failed, never one that ended.
 */
import type { TrafficRefusal } from "../../src/protocol/sandbox/traffic.ts";
import type { TrafficRequest } from "../../src/sandbox/agent-sandbox.ts";
import type { MemoryInstance } from "./memory-instance.ts";

export type Served =
  | { readonly type: "answered"; readonly body: ReadableStream<Uint8Array> | string }
  | { readonly type: "refused"; readonly code: TrafficRefusal };

export class MemoryTraffic {
  readonly #open = new Set<ReadableStreamDefaultController<Uint8Array>>();
  #held = false;

  get open(): number {
    return this.#open.size;
  }

  get held(): boolean {
    return this.#held;
  }

  hold(): void {
    this.#held = true;
    this.cut();
  }

  release(): void {
    this.#held = false;
  }

  cut(): void {
    for (const stream of this.#open) stream.error(new Error("the connection was cut"));
    this.#open.clear();
  }

  serve({ order }: Pick<MemoryInstance, "order">, { method, path }: TrafficRequest): Served {
    const { instanceId, generation } = order;
    const said = JSON.stringify({ instanceId, generation, method, path });
    // The one answer of an agent that Mooring describes word for word: nothing listens in this world.
    if (path === "ports") return { type: "answered", body: JSON.stringify({ data: [] }) };
    if (!path.startsWith("ports/1/stream")) return { type: "answered", body: said };
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        this.#open.add(controller);
        controller.enqueue(new TextEncoder().encode(said));
      },
      cancel: () => void this.#open.delete(own),
    });
    return { type: "answered", body };
  }
}
