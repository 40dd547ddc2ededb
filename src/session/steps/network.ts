/** The rules for the network: handed to the provider, confirmed, and what they refused. */
import type { Generation } from "../../domain/state/ids.ts";
import type { Held } from "../../domain/state/lease.ts";
import type { SessionNetwork } from "../../domain/state/network.ts";
import { type NetworkRules, opensEverything } from "../../sandbox/agent-sandbox.ts";
import type { LaunchSecrets } from "../records/secrets.ts";
import type { StepContext } from "./step-context.ts";

export function rulesOf({ mode, allow }: SessionNetwork, { inject = [] }: LaunchSecrets): NetworkRules {
  return { mode, allow, inject };
}

export function confirmRules(
  { calls }: Pick<StepContext, "calls">,
  generation: Generation,
  version: number,
  enforced: "all" | "web",
): void {
  calls.dispatch({ type: "networkApplied", generation, version, enforced }, "sandbox");
}

/**
 * A sandbox that starts with rules has connections of HTTP and HTTPS only, so "open" with headers to inject is open to those two.
 */
export function startEnforces(rules: NetworkRules): "all" | "web" {
  return rules.mode === "open" && !opensEverything(rules) ? "web" : "all";
}

/** With each accepted renewal: a change that was not confirmed is sent again, and refusals are fetched. */
export async function followNetwork(context: StepContext, lease: Held): Promise<void> {
  const { network } = context.calls.session();
  if (network === undefined) return;
  if (network.state === "pending") await applyRules(context, lease);
  await fetchDenied(context, lease);
}

/** null: applied, or there is nobody to apply it to. Else why not, in words. */
export async function applyRules(context: StepContext, lease: Held): Promise<string | null> {
  const { calls, ports, secrets } = context;
  const provider = calls.provider(lease)?.network;
  if (provider === undefined) return null;
  const opened = await secrets.launch(calls.session().id);
  if (!opened.ok) return opened.why;
  // Read after the wait for the secrets, which belong to the newest rules.
  const { network } = calls.session();
  if (network === undefined) return null;
  const rules = rulesOf(network, opened.value);
  const changed = await calls.call(ports.policy.observeMs, "change the network", (bound) =>
    provider.change(calls.target(lease), rules, bound),
  );
  // Changed again meanwhile: whichever call arrived last is what holds, so the newest is sent once more.
  if (calls.session().network?.version !== network.version) return applyRules(context, lease);
  if (!changed.ok) return changed.failure.message;
  confirmRules(context, lease.generation, network.version, changed.value.enforced);
  return null;
}

async function fetchDenied({ calls, ports }: StepContext, lease: Held): Promise<void> {
  const provider = calls.provider(lease)?.network;
  if (provider === undefined) return;
  const denied = await calls.call(ports.policy.observeMs, "ask what was refused", (bound) =>
    provider.denied(calls.target(lease), bound),
  );
  if (denied.ok && denied.value.length > 0)
    calls.dispatch({ type: "hostsDenied", generation: lease.generation, hosts: denied.value }, "sandbox");
}
