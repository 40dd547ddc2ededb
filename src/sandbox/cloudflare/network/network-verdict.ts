/** What becomes of one request that left a sandbox: pure, so that every rule is seen at once. */
import type { NetworkRules } from "../../agent-sandbox.ts";
import { addressOf, rangeHolds } from "./addresses.ts";

export type NetworkVerdict =
  | { readonly type: "denied"; readonly host: string }
  /** To be sent with these headers in place of its own. */
  | { readonly type: "allowed"; readonly headers: readonly (readonly [string, string])[] };

export function networkVerdict({ mode, allow, inject }: NetworkRules, url: URL): NetworkVerdict {
  const host = url.hostname.toLowerCase().replace(/\.$/, "");
  const injected = inject.filter((one) => one.host === host);
  const isAllowed = mode === "open" || (mode === "allow" && (injected.length > 0 || allow.some(matches(host))));
  if (!isAllowed) return { type: "denied", host };
  const isPrivate = url.protocol === "https:" || url.protocol === "wss:";
  const headers = injected
    // Everybody on the way could read it.
    .filter((one) => isPrivate || one.plain_http === true)
    .map((one) => [one.header, one.secret] as const);
  return { type: "allowed", headers };
}

function matches(host: string): (listed: string) => boolean {
  const address = addressOf(host);
  return (listed) => {
    if (address !== null) return rangeHolds(listed, address);
    return listed.startsWith("*.") ? host.endsWith(listed.slice(1)) : host === listed;
  };
}
