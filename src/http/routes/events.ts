/** `…/events`: the history as pages, or followed live as server-sent events until the session is erased. */
import { eventsQuery, jobContracts } from "../../protocol/contracts/job-contracts.ts";
import type { EventView } from "../../protocol/events.ts";
import type { Reply } from "../../protocol/problem.ts";
import { limits } from "../../protocol/primitives.ts";
import { accepts, readQuery, resumePosition } from "../headers.ts";
import { askSession, json, problem, type Route, serve, type TenantAsk } from "../route.ts";
import { heartbeat, heartbeatMs, sseEvent, sseHeaders } from "../sse.ts";

/** An object that answers "nothing new" at once must not be asked in a busy loop. */
const minPauseMs = 1_000;

async function events(from: TenantAsk): Promise<Response> {
  const query = readQuery(from.request, eventsQuery);
  if (!query.ok) return problem(from, query.problem);
  const after = resumePosition(from.request, query.value.after);
  if (!after.ok) return problem(from, after.problem);
  const live = accepts(from.request, "text/event-stream");
  const limit = live ? limits.pageSize : query.value.limit;
  // Before the stream begins: whoever may not see the session gets a problem, not an empty stream.
  const first = await page(from, after.value, limit, 0);
  if (!first.ok) return problem(from, first.problem);
  if (live) return new Response(follow(from, after.value, first.value), { headers: sseHeaders });
  const last = first.value.length === limit ? first.value.at(-1) : undefined;
  return json(200, { data: first.value, next_after: last?.sequence ?? null });
}

function page(from: TenantAsk, after: number, limit: number, waitMs: number): Promise<Reply<readonly EventView[]>> {
  return askSession(from, "read", (session) => session.events(from.caller, after, limit, waitMs));
}

function follow(from: TenantAsk, begin: number, first: readonly EventView[]): ReadableStream<Uint8Array> {
  let after = begin;
  let waiting: readonly EventView[] = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (waiting.length === 0) {
          const askedAt = from.clock.now();
          const reply = await page(from, after, limits.pageSize, heartbeatMs);
          if (!reply.ok) {
            // `erased`: there will never be more. Anything else: come back with Last-Event-ID.
            const reason = reply.problem.code === "not_found" ? "erased" : "disconnected";
            controller.enqueue(sseEvent({ name: "end", data: { reason } }));
            controller.close();
            return;
          }
          waiting = reply.value;
          if (waiting.length === 0) {
            // At most the pause: a clock that went back would make it hours.
            await from.clock.sleep(Math.min(minPauseMs, minPauseMs - (from.clock.now() - askedAt)));
            controller.enqueue(heartbeat);
            return;
          }
        }
        const [event, ...rest] = waiting;
        if (event === undefined) return;
        waiting = rest;
        after = event.sequence;
        controller.enqueue(sseEvent({ id: event.sequence, data: event }));
      },
    },
    { highWaterMark: 0 },
  );
}

export const eventRoutes: readonly Route[] = [serve(jobContracts.events, events)];
