/** The snapshots of a tenant: found, read, deleted with proof. */
import { everyPage } from "./wire/pages.ts";
import type { CallOptions, Transport } from "./wire/transport.ts";
import type { QueryFor, Snapshot } from "./types.ts";

export class Snapshots {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Newest first, page after page, without those that are deleted for good. */
  list(
    query: Omit<QueryFor<"listSnapshots">, "cursor"> = {},
    options: CallOptions = {},
  ): AsyncGenerator<Snapshot, void, void> {
    return everyPage(async (cursor) => {
      const call = { operation: "listSnapshots", query: { ...query, cursor }, repeatable: true } as const;
      const page = await this.#transport.json(call, options);
      return { data: page.data, next: page.next_cursor };
    });
  }

  /** By its id or its name. */
  get(snapshot: string, options: CallOptions = {}): Promise<Snapshot> {
    return this.#transport.json({ operation: "getSnapshot", parameters: { snapshot }, repeatable: true }, options);
  }

  /** `status` of the answer is `deleted` once nothing of it is left; `deletion.evidence` is the proof. Safe to repeat. */
  delete(snapshot: string, options: CallOptions = {}): Promise<Snapshot> {
    return this.#transport.json({ operation: "deleteSnapshot", parameters: { snapshot }, repeatable: true }, options);
  }
}
