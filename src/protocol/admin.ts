/** Admin routes on the wire: what an operator sees of a session, and the audited exits from a stuck one. */
import { z } from "zod";
import { limits, plainText } from "./primitives.ts";
import { sessionView, teardownView } from "./sessions.ts";

export const resolveBody = z.strictObject({
  /** `retry_stop`: a new round of stop attempts. `assert_absent`: "I know it is gone". `abandon`: terminate, then assert. */
  action: z.enum(["retry_stop", "assert_absent", "abandon"]),
  /** Kept in the session's history: why the operator believes it. */
  reason: plainText(limits.reasonText).min(3, "Say why, in some words."),
});

export const inspectionView = z.object({
  id: z.string(),
  /** Whether Mooring can read the session's record. */
  record: z.enum(["readable", "unreadable", "newer"]),
  /** null when it cannot. */
  session: sessionView.nullable(),
  /** Of every lease that is still being stopped. */
  teardowns: z.array(teardownView),
});
export type InspectionView = z.infer<typeof inspectionView>;
