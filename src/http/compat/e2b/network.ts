/**
 * Translates E2B's network rules into those of the native API.
 *
 * "Nothing", "only these hosts, addresses and ranges" and headers for a host have a native counterpart. A single denied
 * address has none: rules see the name that a request asks for, and a name that leads to that address would pass. Such
 * a rule is refused, because leaving it out would allow what the client forbade.
 */
import type { E2bRules } from "../../../protocol/compat/e2b.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { type InjectedHeader, type NetworkOrder, networkOrder } from "../../../protocol/resources/session/network.ts";
import { validationFailed } from "../../request/validation.ts";

/** `ALL_TRAFFIC` of the SDK. */
const everything = "0.0.0.0/0";

/** null: the client asked for no rule. `at`: a JSON pointer to the rules, without a slash at its end. */
export function networkOf(rules: E2bRules, at: string): Reply<NetworkOrder | null> {
  const allowed = rules.allowOut ?? [];
  const denied = rules.denyOut ?? [];
  const isDenied = rules.allow_internet_access === false || denied.includes(everything);
  if (!isDenied && denied.length > 0)
    return wrong(
      `${at}/denyOut`,
      `Only all traffic (${everything}) can be denied here, with \`allowOut\` for exceptions: rules see what a request names, so a name that leads to a denied address would pass.`,
    );
  const isClosed = isDenied && !allowed.includes(everything);
  if (isClosed && allowed.length === 0) return { ok: true, value: { mode: "closed" } };
  const allow = allowed.map((host) => host.toLowerCase());
  // In E2B's API headers for a host do not allow that host; in the native API they would.
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

function wrong(pointer: string, detail: string): ReturnType<typeof validationFailed> {
  return validationFailed([{ pointer, detail }]);
}
