/** Signed receipts on the wire: what a statement says, how it is chained, and the keys that it is checked with. */
import { z } from "zod";
import { instant } from "../../primitives.ts";
import { stopReasons, terminateReasonNames } from "../../../domain/state/reasons.ts";
import { isolation, observationView, stopAttemptView } from "./sessions.ts";

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** Everything of a statement but its place in the chain. */
export const receiptBody = z.object({
  session: z
    .object({
      id: z.string(),
      created_at: instant,
      isolation,
      labels: z.record(z.string(), z.string()),
      agent_type: z.string().nullable(),
      task_id: z.string().nullable(),
    })
    .describe("The session that the sandbox belonged to."),
  sandbox: z
    .object({
      id: z.string(),
      generation: z.int(),
      provider: z.string(),
      host: z.string().nullable().describe("The host that answered the launch and proved the absence."),
      container_id: z.string().nullable(),
      opened_at: instant.describe("When its launch was sent."),
      held_at: instant.nullable().describe("When it accepted its lease; null: it never did."),
    })
    .describe("The sandbox that is gone."),
  asked: z
    .object({
      by: z
        .string()
        .describe(
          "`key:` and the id inside the API key, `clock:` and the name of the clock, or `client`, `operator`, `mooring` when nobody was named.",
        ),
      at: instant.describe("When the sandbox began to be stopped."),
      stop_reason: z
        .enum(Object.keys(stopReasons) as [keyof typeof stopReasons, ...(keyof typeof stopReasons)[]])
        .describe("Why this sandbox was stopped."),
      terminate_reason: z
        .enum(terminateReasonNames)
        .nullable()
        .describe("null: only this sandbox ended, not the session."),
    })
    .describe("Who or what ended it, and why."),
  clocks: z
    .object({
      end_at: instant,
      timeout_seconds: z.int(),
      idle_timeout_seconds: z.int().nullable(),
      max_lifetime_seconds: z.int(),
    })
    .describe("The session's clocks when the sandbox was proven gone."),
  jobs: z
    .object({
      count: z.int().describe("How many jobs this sandbox was given, of those that the session still keeps."),
      last: z
        .object({ id: z.string(), state: z.string(), exit_code: z.int().nullable(), signal: z.string().nullable() })
        .nullable()
        .describe("The job that was created last; null: there was none."),
    })
    .describe("The jobs that this sandbox was given."),
  snapshot: z
    .object({
      id: z.string(),
      bytes: z.int().nullable().describe("Its size; null: the provider did not say."),
      fate: z
        .enum(["kept", "discarded"])
        .describe("`kept`: a resume restores it. `discarded`: it is deleted, or about to be."),
    })
    .nullable()
    .describe("The newest snapshot of this sandbox's contents, and what became of it; null: none was taken."),
  retired: z
    .object({
      at: instant,
      host: z.string().describe("The host that answered."),
      boot: z.string().describe("Which start of that host it was."),
    })
    .describe("Who acknowledged that nothing of this generation may start any more."),
  attempts: z.array(stopAttemptView),
  earlier_attempts: z.int().describe("Attempts before the rounds that `attempts` shows."),
  observations: z.array(observationView).describe("The newest 20."),
  verified_absent_at: instant.describe("When the second of two looks found nothing."),
  asserted: z
    .object({ at: instant, by: z.string(), reason: z.string() })
    .nullable()
    .describe("An operator's word that came before the proof."),
  evidence: z.string().describe("The proof in words."),
  charge: z
    .object({
      milliseconds: z.int().describe("From `held_at` until the stop began."),
      currency: z.string().describe("As the operator's price table names it."),
      nanos_per_second: z.int().describe("The price, in billionths of the currency."),
      nanos: z.int().describe("Billionths of the currency."),
    })
    .nullable()
    .describe("null: the provider has no price."),
});
export type ReceiptBody = z.infer<typeof receiptBody>;

export const receiptStatement = z.object({
  ...receiptBody.shape,
  type: z.literal("mooring.receipt/1"),
  tenant: z.string(),
  sequence: z.int().describe("Counts the tenant's receipts from 1, without a gap."),
  previous: hash.nullable().describe("`hash` of the tenant's receipt before this one; null: it is the first."),
});

export const signedReceipt = z.object({
  statement: receiptStatement,
  hash: hash.describe("SHA-256 of the statement's canonical JSON (RFC 8785), in hex."),
  key_id: z.string().describe("Which of the keys at `/.well-known/mooring-keys` signed it."),
  signature: z.string().describe("Ed25519 over `mooring-receipt-1`, a line feed and the canonical JSON, in base64url."),
});
export type SignedReceiptView = z.infer<typeof signedReceipt>;

export const sessionReceipts = z.object({
  data: z.array(signedReceipt).describe("Of each of the session's sandboxes that is proven gone, oldest first."),
  unsigned: z.int().describe("Proven gone, and not signed yet: a moment, or until the operator sets a signing key."),
});

export const receiptPage = z.object({
  data: z.array(signedReceipt),
  next_cursor: z.string().nullable(),
  head: z
    .object({ sequence: z.int(), hash: hash.describe("The hash of that receipt.") })
    .nullable()
    .describe("The newest signed receipt of the chain: a copy that was kept shows later whether the end was cut off."),
  unsigned: z.int().describe("Proven gone, and not signed yet: a moment, or until the operator sets a signing key."),
});
export type ReceiptPage = z.infer<typeof receiptPage>;

export const receiptKeys = z.object({
  keys: z
    .array(
      z.object({
        key_id: z.string().describe("The first 16 hex digits of the SHA-256 of the public key."),
        algorithm: z.literal("Ed25519").describe("Always Ed25519."),
        public_key: z.string().describe("The 32 bytes of the public key in base64url."),
        status: z
          .enum(["signing", "retired"])
          .describe("`retired` keys sign nothing new; old receipts still verify by them."),
      }),
    )
    .describe("The keys of this Mooring, the one that signs first."),
});
