/**
 * The provider with a witness: what it answers to a look, a retirement or a launch is kept for the oracle. An instance whose launch may
 * have started it must not be launched again (I6): only the instance itself can say.
 */
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import type { Evidence } from "../oracle/evidence.ts";

export function watchedSandbox(
  sandbox: AgentSandbox,
  evidence: Evidence,
  violated: (what: string) => void,
): AgentSandbox {
  const observe: AgentSandbox["observe"] = async (target, beganAt, bound) => {
    const observation = await sandbox.observe(target, beganAt, bound);
    evidence.looked(observation);
    return observation;
  };
  const retire: AgentSandbox["retire"] = async (target, bound) => {
    const reply = await sandbox.retire(target, bound);
    if (reply.ok) evidence.acknowledged(target.sandboxId, reply.value);
    return reply;
  };
  const launch: AgentSandbox["launch"] = async (order, bound) => {
    const { sessionId, generation, instanceId } = order;
    if (evidence.mayHaveStarted(instanceId))
      violated(
        `${sessionId}: I6: generation ${generation} is launched again though the launch before may have started it`,
      );
    evidence.launchSent(instanceId);
    const reply = await sandbox.launch(order, bound);
    if (!reply.ok && reply.failure.effect === "none") evidence.launchRefused(instanceId);
    return reply;
  };
  return new Proxy(sandbox, {
    get(target, name): unknown {
      if (name === "observe") return observe;
      if (name === "retire") return retire;
      if (name === "launch") return launch;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
