/**
 * Passes: the right to send traffic straight to this session's sandbox, for some seconds.
 *
 * A pass costs a session nothing but this answer: nothing is stored, and the idle clock hears of traffic from the agent, with the next
 * renewal. What ends a pass early is the retirement of its generation at the provider, not anything here.
 */
import type { Held } from "../../../domain/state/lease.ts";
import { leaseEndsAt } from "../../../domain/rules/lease-times.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { Pass } from "../../../protocol/sandbox/traffic.ts";
import type { Caller } from "../../session-api.ts";
import type { CommandContext } from "../command-context.ts";
import { notRunning, refuse, setbackOf } from "../refusals.ts";
import { isUsable, beginUse, useIsDecided } from "../using.ts";

export class TrafficCommands {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async pass(requester: Caller | null | "anyone", waitMs: number, resumes = true): Promise<Reply<Pass>> {
    const caller = requester === "anyone" ? null : requester;
    const found = this.#context.findAs(caller);
    // A caller without a credential must not learn which sessions exist.
    if (requester === "anyone" && !(found.ok && found.value.profile.publicPorts === true)) return refuse(notPublic);
    if (!found.ok) return found;
    const refused = beginUse(this.#context, found.value, resumes);
    if (refused !== null) return refuse(refused);
    await this.#context.wait(() => useIsDecided(this.#context.state.session), waitMs);
    const { session } = this.#context.state;
    if (session === null) return this.#context.findAs(caller) as Reply<never>;
    const lease = session.newest;
    if (lease?.phase !== "held" || !isUsable(session)) return refuse(setbackOf(session) ?? notRunning(session));
    const { policy, clock, providers, trafficKeys } = this.#context.ports;
    const expiresAt = Math.min(clock.now() + policy.passMs, leaseEndsAt(lease, policy));
    if (expiresAt <= clock.now()) return refuse(notRunning(session));
    if (providers.get(lease.provider)?.capabilities.traffic !== true) return refuse(noTraffic(lease));
    const { provider, sandboxId, container, generation, instanceId, host } = lease;
    const key = await trafficKeys.key(lease.secret);
    const token = await trafficKeys.token(key);
    const named = { provider, sessionId: session.id, sandboxId, generation, instanceId, host, key, token, expiresAt };
    const { portHost } = session.profile;
    const rest = { ...(container !== undefined && { container }), ...(portHost !== undefined && { portHost }) };
    return { ok: true, value: { ...named, ...rest } };
  }
}

/** Also of a session that is not there. */
const notPublic: Problem = {
  code: "unauthorized",
  detail:
    "This port is not public, and the request carried nothing that opens it. Send an API key as `Authorization: Bearer …`, or open an address that POST /v1/sessions/{id}/ports made.",
};

function noTraffic({ provider }: Held): Problem {
  return {
    code: "unsupported_by_provider",
    detail: `The provider ${provider} takes no traffic: files, processes, terminals and ports are not available in this session. Jobs are.`,
  };
}
