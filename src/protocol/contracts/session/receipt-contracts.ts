/** Receipts that others can check: a session's own, the tenant's chain, and the public keys. */
import { z } from "zod";
import { contract } from "../../contract.ts";
import { pageLimit } from "../../query.ts";
import { receiptKeys, receiptPage, sessionReceipts } from "../../resources/session/receipts.ts";

export const receiptChainQuery = z.strictObject({
  limit: pageLimit,
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "Pass `next_cursor` of the page before, or a `sequence` after which to begin.")
    .transform(Number)
    .optional()
    .describe("The `sequence` after which the page begins. Left out: from the oldest that is kept."),
});

export const receiptContracts = {
  ofSession: contract({
    access: "tenant",
    tag: "Receipts",
    operation: "getSessionReceipts",
    method: "GET",
    path: "/v1/sessions/:id/receipts",
    summary: "The signed receipts of a session",
    description:
      "One for each of its sandboxes that is proven gone. They outlive the session's own record; 30 days in all. `mooring verify` checks them offline.",
    answers: { 200: { means: "What is signed so far.", body: sessionReceipts } },
    problems: ["not_found", "newer_record", "unreadable_record"],
  }),
  chain: contract({
    access: "tenant",
    tag: "Receipts",
    operation: "listReceipts",
    method: "GET",
    path: "/v1/receipt-chain",
    summary: "Your chain of receipts",
    description:
      "In the order of `sequence`, oldest first. Each names the hash of the one before it, so that one that is left out or deleted shows.",
    query: receiptChainQuery,
    answers: { 200: { means: "One page of the chain.", body: receiptPage } },
  }),
  keys: contract({
    access: "open",
    tag: "Receipts",
    operation: "getReceiptKeys",
    method: "GET",
    path: "/.well-known/mooring-keys",
    summary: "The public keys that receipts are checked with",
    description: "Keep a copy with the receipts: a key that the operator takes away is not listed any more.",
    answers: { 200: { means: "The signing key first. Empty: this Mooring signs nothing.", body: receiptKeys } },
  }),
} as const;
