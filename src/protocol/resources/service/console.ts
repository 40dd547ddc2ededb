/** Signing in to the console, on the wire. The cookie itself is no part of any body. */
import { z } from "zod";
import { instant, limits } from "../../primitives.ts";

export const signInBody = z
  .strictObject({
    credential: z
      .string()
      .min(1, "The admin token, or an API key.")
      .max(limits.credential)
      .optional()
      .describe("The admin token, or an API key. It is checked, and never stored."),
    ticket: z.string().min(1).max(2_048).optional().describe("Or what `POST /console/ticket` gave a moment ago."),
  })
  .refine(
    (body) => (body.credential === undefined) !== (body.ticket === undefined),
    "One of `credential` and `ticket`.",
  );

export const ticketView = z.object({
  path: z
    .string()
    .describe("To be opened in a browser: it signs in there. The part after `#` is not sent to any server."),
  expires_at: instant,
});

const until = instant.describe("When the sign-in ends.");

export const identityView = z.object({
  operator: z.object({ until }).nullable().describe("Signed in with the admin token; null: not."),
  tenant: z
    .object({ name: z.string(), scopes: z.array(z.string()).describe("Scopes of the key."), until })
    .nullable()
    .describe("Signed in with an API key of this tenant; null: not."),
});
export type IdentityView = z.infer<typeof identityView>;
