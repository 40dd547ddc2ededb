/** Snapshots of a tenant on the wire: taking one, seeing it, forking a session. */
import { z } from "zod";
import { instant, labels, plainText } from "../../primitives.ts";
import { sessionView } from "../session/sessions.ts";

/** Also in an address, so nothing that would have to be escaped there; no colon, because E2B's form adds a tag after one. */
export const snapshotName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit.");

export const createSnapshot = z.strictObject({
  name: snapshotName.optional().describe("Unique in the tenant. Absent: it has its id only."),
  replace: z
    .boolean()
    .optional()
    .describe("An older snapshot of that name is deleted once this one is saved. Absent: the name must be free."),
});

export const snapshotStatuses = ["taking", "ready", "deleting", "deleted"] as const;

export const snapshotDeletion = z.object({
  requested_at: instant,
  attempts: z.int(),
  last_error: z.string().nullable(),
  verified_absent_at: instant.nullable().describe("Only after the provider was looked at and had nothing of it."),
  evidence: z.string().nullable().describe("The proof in words; null while there is none."),
});

export const snapshotView = z.object({
  id: z.string(),
  name: z.string().nullable(),
  session_id: z.string().describe("The session that it was taken from. It may be gone."),
  status: z
    .enum(snapshotStatuses)
    .describe("`taking`: files are being saved; `ready`: a session can be made from it; then it is deleted for good."),
  provider: z.string(),
  template: z.string().describe("What the sandbox that it was taken from had started from."),
  size_bytes: z.int().nullable().describe("null: it is not saved yet."),
  created_at: instant,
  failure: z.string().nullable().describe("Why it could not be taken; null: it was, or is being."),
  deletion: snapshotDeletion.nullable().describe("null: nobody deletes it."),
});
export type SnapshotView = z.infer<typeof snapshotView>;

export const snapshotPage = z.object({ data: z.array(snapshotView), next_cursor: z.string().nullable() });

export const forkSession = z.strictObject({
  count: z.int().min(1, "At least 1.").max(20, "At most 20.").optional().describe("How many. Absent: 1."),
  timeout_seconds: z.int().min(1).max(31_536_000).optional().describe("Of each fork. Absent: that of the session."),
  labels: labels.optional().describe("Of each fork. Absent: those of the session."),
});

export const forkResult = z.object({
  session: sessionView.nullable().describe("null: this one was not made."),
  problem: z
    .object({ code: z.string(), status: z.int(), detail: z.string() })
    .nullable()
    .describe("Why it was not; null: it was."),
});
export const forkReply = z.object({ forks: z.array(forkResult).describe("One entry for each fork asked for.") });

/** What `plainText` allows, as a reference: an id or a name. */
export const snapshotReference = plainText(64).describe("The id or the name of a snapshot.");
