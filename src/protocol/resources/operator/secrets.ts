/** Sealing anew what was sealed with an older ENV_ENCRYPTION_KEY: one page of the round, for operators. */
import { z } from "zod";

export const resealBody = z.strictObject({
  /** `next_cursor` of the page before; left out: from the beginning. */
  cursor: z.string().max(100).optional(),
});

export const resealView = z.object({
  /** Looked at in this page. */
  sessions: z.int(),
  tenants: z.int(),
  /** Sealed texts: of the newest key already, sealed with it now, and those that no configured key opens. */
  current: z.int(),
  renewed: z.int(),
  unreadable: z.int(),
  /** Which sessions (`session/<id>`) and tenants (`tenant/<name>`) have unreadable ones, or could not be asked. At most 100. */
  left: z.array(z.object({ name: z.string(), why: z.string() })),
  /** null: the round is complete. An older key may be removed when a whole round left nothing. */
  next_cursor: z.string().nullable(),
});
export type ResealView = z.infer<typeof resealView>;
