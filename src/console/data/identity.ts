/** Who is signed in. An operator and a tenant can be signed in at once: each opens its own pages. */
import { signal } from "@preact/signals";
import type { IdentityView } from "../../protocol/resources/service/console.ts";
import { onSignedOut, send } from "./call.ts";

/** null: not known yet. */
export const identity = signal<IdentityView | null>(null);

export const nobody: IdentityView = { operator: null, tenant: null };

export async function learnIdentity(): Promise<void> {
  identity.value = (await (await send("GET", "/console/identity")).json()) as IdentityView;
}

export async function signIn(by: { readonly credential: string } | { readonly ticket: string }): Promise<void> {
  identity.value = (await (await send("POST", "/console/login", { body: by })).json()) as IdentityView;
}

export async function signOut(): Promise<void> {
  await send("POST", "/console/logout");
  identity.value = nobody;
}

/** A cookie has expired, or a credential was revoked. Only the Worker knows which, so ask it again. */
onSignedOut(() => {
  void learnIdentity().catch(() => {});
});

export function isSignedIn(who: IdentityView | null): boolean {
  return who !== null && (who.operator !== null || who.tenant !== null);
}
