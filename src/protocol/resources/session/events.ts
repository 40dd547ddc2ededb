/** The history of a session: every transition, with who caused it. */
import { z } from "zod";
import { instant } from "../../primitives.ts";

export const actors = ["client", "operator", "alarm", "maintenance", "sandbox"] as const;

export const eventView = z.object({
  sequence: z.int().describe("Counts up within the session; the SSE id."),
  at: instant,
  type: z.string(),
  actor: z.enum(actors),
  cause: z.string().describe("Why, in words or a reason code."),
  from: z.string(),
  to: z.string(),
  generation: z.int().nullable(),
  facts: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .describe("Small, type-specific facts. Never env, never a secret."),
});
export type EventView = z.infer<typeof eventView>;

/** Followed live: `erased`: there will never be more; `disconnected`: come back with Last-Event-ID. */
export const eventsEnd = z.object({ reason: z.enum(["erased", "disconnected"]) });
export const eventPage = z.object({ data: z.array(eventView), next_after: z.int().nullable() });
