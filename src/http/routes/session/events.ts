/** `…/events`: the history as pages, or followed live as server-sent events until the session has ended or is erased. */
import { anySessionContracts } from "../../../protocol/contracts/operator/any-session-contracts.ts";
import { jobContracts } from "../../../protocol/contracts/session/job-contracts.ts";
import type { EventView } from "../../../protocol/resources/session/events.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { limits } from "../../../protocol/primitives.ts";
import { accepts, resumePosition } from "../../request/headers.ts";
import type { Caller } from "../../../session/session-api.ts";
import { type AdminContext, askSession, json, type Route, type TenantContext } from "../../route.ts";
import { type Made, type QueryOf, serveQuery } from "../../serve.ts";
import { heartbeat, heartbeatMs, sseEvent, sseHeaders } from "../../answer/sse.ts";

/** An object that answers "nothing new" at once must not be asked in a busy loop. */
const minPauseMs = 1_000;

/** `caller` null: an operator asks. */
async function events(
  context: ReaderContext,
  caller: Caller | null,
  query: QueryOf<typeof jobContracts.events>,
): Promise<Made> {
  const after = resumePosition(context.request, query.after);
  if (!after.ok) return after;
  const live = accepts(context.request, "text/event-stream");
  const limit = live ? limits.pageSize : query.limit;
  // Checked before the stream begins: a caller that may not see the session gets a problem, not an empty stream.
  const first = await page(context, caller, after.value, limit, 0);
  if (!first.ok) return first;
  if (live) return new Response(follow(context, caller, after.value, first.value), { headers: sseHeaders });
  const last = first.value.length === limit ? first.value.at(-1) : undefined;
  return json(200, { data: first.value, next_after: last?.sequence ?? null });
}

type ReaderContext = TenantContext | AdminContext;

function page(
  context: ReaderContext,
  caller: Caller | null,
  after: number,
  limit: number,
  waitMs: number,
): Promise<Reply<readonly EventView[]>> {
  return askSession(context, "read", (session) => session.events(caller, after, limit, waitMs));
}

function follow(
  context: ReaderContext,
  caller: Caller | null,
  begin: number,
  first: readonly EventView[],
): ReadableStream<Uint8Array> {
  let after = begin;
  let waiting: readonly EventView[] = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (waiting.length === 0) {
          const askedAt = context.clock.now();
          const reply = await page(context, caller, after, limits.pageSize, heartbeatMs);
          if (!reply.ok) {
            // `erased`, `ended`: there will never be more. Anything else: come back with Last-Event-ID.
            const { code } = reply.problem;
            const reason = code === "not_found" ? "erased" : code === "session_ended" ? "ended" : "disconnected";
            controller.enqueue(sseEvent({ name: "end", data: { reason } }));
            controller.close();
            return;
          }
          waiting = reply.value;
          if (waiting.length === 0) {
            // At most the pause: a clock that went back would make it hours.
            await context.clock.sleep(Math.min(minPauseMs, minPauseMs - (context.clock.now() - askedAt)));
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

export const eventRoutes: readonly Route[] = [
  serveQuery(jobContracts.events, (context, query) => events(context, context.caller, query)),
  serveQuery(anySessionContracts.events, (context, query) => events(context, null, query)),
];
