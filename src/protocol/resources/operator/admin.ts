/** Admin routes on the wire: what an operator sees of a session, and the audited exits from a stuck one. */
import { z } from "zod";
import { limits, plainText } from "../../primitives.ts";
import { sessionView, teardownView } from "../session/sessions.ts";

export const resolveBody = z.strictObject({
  action: z
    .enum(["retry_stop", "assert_absent", "abandon", "forget_snapshots"])
    .describe(
      "`retry_stop`: a new round of stop attempts. `assert_absent`: 'I know it is gone'. `abandon`: terminate, then assert. `forget_snapshots`: snapshots that could not be deleted are taken off the session; its history names them.",
    ),
  reason: plainText(limits.reasonText)
    .min(3, "Say why, in some words.")
    .describe("Kept in the session's history: why the operator believes it."),
});

export const assertLostBody = z.strictObject({
  tenant: z.string().min(1).max(64).describe("Whose registry counts the sandboxes."),
  reason: plainText(limits.reasonText)
    .min(3, "Say why, in some words.")
    .describe("Kept in the admin log and in the receipts: why the operator believes it."),
});

export const assertedLostView = z.object({
  session_id: z.string(),
  tenant: z.string(),
  asserted: z
    .array(z.object({ generation: z.int(), sandbox_id: z.string() }))
    .describe("What is counted as `asserted` from now on: no longer against the cap, and not as proven."),
});

export const inspectionView = z.object({
  id: z.string(),
  record: z.enum(["readable", "unreadable", "newer"]).describe("Whether Mooring can read the session's record."),
  session: sessionView.nullable().describe("null when it cannot."),
  teardowns: z.array(teardownView).describe("Of every lease that is still being stopped."),
});
export type InspectionView = z.infer<typeof inspectionView>;
