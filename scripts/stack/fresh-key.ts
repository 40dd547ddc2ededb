/** An API key with a nonce of its own, for every script that prints or uses one. */
import { randomInt } from "node:crypto";
import { type ApiKeyScope, signApiKey } from "../../src/protocol/api-keys.ts";

export interface FreshKeyOrder {
  readonly tenant: string;
  readonly scopes: readonly ApiKeyScope[];
  /** Epoch ms; null, or left out: it never ends. */
  readonly expiresAt?: number | null;
}

export function freshKey({ tenant, scopes, expiresAt = null }: FreshKeyOrder, signingSecret: string): Promise<string> {
  const nonce = Array.from({ length: 10 }, () => randomInt(36).toString(36)).join("");
  return signApiKey({ tenant, scopes, issuedAt: Date.now(), expiresAt, nonce }, signingSecret);
}
