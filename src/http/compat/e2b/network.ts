/**
 * E2B's rules for the traffic of a sandbox in the words of the native API.
 *
 * There rules name addresses, ranges and hosts; here they name hosts. So "nothing", "nothing but these hosts" and headers for a host have a
 * counterpart, and a rule about an address has none. It is refused: left out, it would let through what was forbidden.
 */
import type { E2bRules } from "../../../protocol/compat/e2b.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { type InjectedHeader, type NetworkOrder, networkOrder } from "../../../protocol/resources/session/network.ts";
import { validationFailed } from "../../request/validation.ts";

/** `ALL_TRAFFIC` of the SDK. */
const everything = "0.0.0.0/0";

/** null: no rule was asked for. `at`: a JSON pointer to where the rules stand, without a slash at its end. */
export function networkOf(rules: E2bRules, at: string): Reply<NetworkOrder | null> {
  const allowed = rules.allowOut ?? [];
  const denied = rules.denyOut ?? [];
  const isDenied = rules.allow_internet_access === false || denied.includes(everything);
  if (!isDenied && denied.length > 0)
    return wrong(
      `${at}/denyOut`,
      `Only all traffic (${everything}) can be denied here, with \`allowOut\` for exceptions.`,
    );
  const isClosed = isDenied && !allowed.includes(everything);
  if (isClosed && allowed.length === 0) return { ok: true, value: { mode: "closed" } };
  const address = isClosed ? allowed.find(isAddress) : undefined;
  if (address !== undefined)
    return wrong(
      `${at}/allowOut`,
      `${address} is an address: traffic is allowed by host name here, such as api.example.com.`,
    );
  const allow = allowed.map((host) => host.toLowerCase());
  // There a rule for a host does not allow it; here it would.
  const inject = injected(rules).filter(({ host }) => !isClosed || allow.some((pattern) => covers(pattern, host)));
  if (!isClosed && inject.length === 0) return { ok: true, value: null };
  const order = networkOrder.safeParse({
    ...(isClosed ? { mode: "allow", allow } : { mode: "open" }),
    ...(inject.length === 0 ? {} : { inject }),
  });
  if (order.success) return { ok: true, value: order.data };
  const [issue] = order.error.issues;
  return wrong(at, `${issue?.path.join("/") ?? ""}: ${issue?.message ?? "not a rule that is known here"}`);
}

function injected({ rules }: E2bRules): readonly InjectedHeader[] {
  return Object.entries(rules ?? {}).flatMap(([host, each]) =>
    each.flatMap(({ transform }) =>
      Object.entries(transform?.headers ?? {}).map(([header, secret]) => ({
        host: host.toLowerCase(),
        header,
        secret,
      })),
    ),
  );
}

function covers(pattern: string, host: string): boolean {
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : pattern === host;
}

/** An IPv4 or IPv6 address, or a range of them. */
function isAddress(destination: string): boolean {
  return /^[\d.]+(\/\d+)?$/.test(destination) || destination.includes(":");
}

function wrong(pointer: string, detail: string): ReturnType<typeof validationFailed> {
  return validationFailed([{ pointer, detail }]);
}
