/** What needs somebody, on the wire: one line per problem, with why and the call that ends it; and figures for when there is none. */
import { z } from "zod";
import { instant } from "../../primitives.ts";
import { nextCallView } from "../session/explain.ts";

/** More than anyone reads; `left_off` counts the rest. */
export const attentionLimit = 40;

export const attentionItem = z.object({
  kind: z
    .enum(["session", "container", "alert", "ledger", "layer", "draining", "index"])
    .describe("What it is about. `index`: a part of the fleet's index is silent, so more may be wrong than is listed."),
  severity: z.enum(["critical", "warning"]),
  subject: z.string().describe("The id or name of what it is about."),
  tenant: z.string().nullable(),
  what: z.string().describe("In a few words."),
  since: instant.nullable().describe("null: not known."),
  why: z.string().describe("In a sentence or two; of a session, from `explain`."),
  next_call: nextCallView.nullable().describe("What ends it; null: Mooring is at it, or a person has to look."),
  console: z.string().describe("The console's page of it."),
});
export type AttentionItem = z.infer<typeof attentionItem>;

export const attentionView = z.object({
  as_of: instant,
  items: z.array(attentionItem).describe("Worst first, then oldest first."),
  left_off: z.int().describe("Problems beyond those listed, as far as they are counted."),
  figures: z
    .object({
      sandboxes: z.int().describe("That exist or may: provisioning, active and terminating."),
      active: z.int(),
      sessions: z.int().describe("That are not over."),
      stuck: z.int(),
      overdue: z.int().describe("Listed with a teardown past its bound."),
      balanced: z.boolean().describe("Granted is what is open and what is gone, in the tallies of the index."),
      cap: z.int().nullable().describe("Sandboxes that may exist at once; null: unknown to you."),
      looked_at: instant.nullable().describe("When the fleet's own watch last looked; null: never, or unknown to you."),
    })
    .describe("How things stand altogether."),
});
export type AttentionView = z.infer<typeof attentionView>;
