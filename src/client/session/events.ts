/** The events of a session as they happen. */
import type { SessionEvent } from "../types.ts";
import { follow } from "../wire/event-stream.ts";
import type { CallOptions, Transport } from "../wire/transport.ts";

/** From the event after the sequence `after` on. A broken connection goes on after the last event that arrived. */
export function watchEvents(
  transport: Transport,
  id: string,
  after: number,
  options: CallOptions,
): AsyncGenerator<SessionEvent, void, void> {
  const { signal } = options;
  return follow<SessionEvent, void>({
    what: `The events of session ${id}`,
    from: after,
    signal,
    retry: transport.retry,
    open: (position) => {
      const headers = { accept: "text/event-stream", "last-event-id": String(position) };
      return transport.stream({ operation: "listEvents", parameters: { id }, headers, repeatable: true }, options);
    },
    take: ({ event, id, data }) => {
      if (event === undefined || event === "message") {
        return { type: "item", item: JSON.parse(data) as SessionEvent, position: Number(id) };
      }
      if (event !== "end") return { type: "nothing" };
      const { reason } = JSON.parse(data) as { readonly reason: string };
      return reason === "disconnected" ? { type: "broken" } : { type: "end", end: undefined };
    },
  });
}
