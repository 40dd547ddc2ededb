/**
 * Whether a request from a sandbox is refused or sent on, and with which headers. Pure, so that tests can try every
 * rule.
 */
import type { NetworkRules } from "../../agent-sandbox.ts";
import { addressOf, rangeHolds } from "./addresses.ts";

export type NetworkVerdict =
  | { readonly type: "denied"; readonly host: string }
  /** Sent with these headers in place of the request's own. */
  | { readonly type: "allowed"; readonly headers: readonly (readonly [string, string])[] };

export function networkVerdict({ mode, allow, inject }: NetworkRules, url: URL): NetworkVerdict {
  const host = url.hostname.toLowerCase().replace(/\.$/, "");
  const injected = inject.filter((one) => one.host === host);
  const isAllowed = mode === "open" || (mode === "allow" && (injected.length > 0 || allow.some(matches(host))));
  if (!isAllowed) return { type: "denied", host };
  const isPrivate = url.protocol === "https:" || url.protocol === "wss:";
  const headers = injected
    // Over plain HTTP everybody on the way could read the secret.
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
