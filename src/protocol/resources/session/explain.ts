/** `…/explain`: why a session is as it is, in words and as data, and the exact call to make. */
import { z } from "zod";
import { instant } from "../../primitives.ts";
import { blockedCodes, sessionStatuses } from "./sessions.ts";

/** A call that can be sent as it is. */
export const nextCallView = z.object({
  method: z.enum(["GET", "POST", "DELETE"]),
  path: z.string(),
  /** The JSON body; null: none. Texts in it are examples. */
  body: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullable(),
  /** Beyond the credential. */
  headers: z.record(z.string(), z.string()),
  /** `admin`: an operator's, with the admin token. */
  access: z.enum(["tenant", "admin"]),
  /** It would be refused before; null: it can be made now. */
  not_before: instant.nullable(),
  why: z.string(),
});

export const clockView = z.object({
  name: z.enum([
    "end_at",
    "idle",
    "max_lifetime",
    "budget",
    "budget_warning",
    "ending_soon",
    "provision",
    "paused_warning",
    "paused_retention",
  ]),
  /** null: it does not run now; `says` tells why. */
  due_at: instant.nullable(),
  /** What happens then. */
  does: z.string(),
  /** What moves it. */
  moved_by: z.string(),
  says: z.string(),
});

export const explainView = z.object({
  session_id: z.string(),
  as_of: instant,
  status: z.enum(sessionStatuses),
  /** All of it in a few sentences. */
  summary: z.string(),
  /** Why it is still there, or why it is not. */
  alive: z.string(),
  clocks: z.array(clockView),
  /** The name of the clock that fires first; null: none runs. */
  next_clock: clockView.shape.name.nullable(),
  /** When Mooring itself looks at it again, whatever for; null: there is nothing left to do. */
  next_look_at: instant.nullable(),
  lost_since: instant
    .nullable()
    .describe("Since when its sandbox is lost and nothing replaces it; null: it is not lost."),
  blocked: z
    .object({ code: z.enum(blockedCodes), since: instant, retry_at: instant.nullable(), says: z.string() })
    .nullable(),
  /** What physically may exist of it, oldest first. */
  sandboxes: z.array(
    z.object({
      generation: z.int(),
      sandbox_id: z.string(),
      phase: z.enum(["launching", "held", "stopping"]),
      /** Replaced before it was proven gone. */
      ghost: z.boolean(),
      renewed_at: instant.nullable().describe("Its last accepted renewal; null: it is not held."),
      next_renewal_at: instant.nullable().describe("When it is renewed next; null: it is not held."),
      lapses_at: instant
        .nullable()
        .describe("When it is taken for lost unless it is renewed before; null: it is not held."),
      says: z.string(),
    }),
  ),
  /** The call to make; null: none is needed, or nothing is left to do. */
  next_call: nextCallView.nullable(),
  /** What else works. */
  other_calls: z.array(nextCallView),
});
export type ExplainView = z.infer<typeof explainView>;
