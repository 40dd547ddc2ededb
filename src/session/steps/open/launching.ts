/** Launching the wrapper of an open lease, with its saved files restored first when there are any. */
import { failed, type ProviderResult } from "../../../domain/state/failure.ts";
import type { AttemptId, Generation } from "../../../domain/state/ids.ts";
import type { Launching } from "../../../domain/state/lease.ts";
import type { SnapshotRef } from "../../../domain/state/session.ts";
import type { AgentSandbox, Launched, LaunchOrder } from "../../../sandbox/agent-sandbox.ts";
import type { LaunchSecrets } from "../../records/secrets.ts";
import { confirmRules, rulesOf, startEnforces } from "../network.ts";
import type { StepContext } from "../step-context.ts";

type Refused = ReturnType<typeof failed>;

/** A further launch attempt of the same instance. */
export async function relaunch(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls } = context;
  const attemptId = calls.attempt();
  if (calls.dispatch({ type: "launchStarted", generation, attemptId }).type !== "moved") return;
  const opened = context.secrets.launch(calls.session().id);
  const secrets = opened instanceof Promise ? await opened : opened;
  if (secrets.ok) return launch(context, generation, attemptId, secrets.value);
  const failure = { code: "unavailable", message: unreadableEnv(secrets.why), effect: "none" } as const;
  calls.dispatch({ type: "launchFailed", generation, attemptId, failure, jitter: ports.ids.random() });
}

export async function launch(
  context: StepContext,
  generation: Generation,
  attemptId: AttemptId,
  secrets: LaunchSecrets,
): Promise<void> {
  const { ports, calls } = context;
  const lease = acting(context, generation, attemptId);
  if (lease === null) return;
  const provider = calls.provider(lease);
  const result =
    provider === null
      ? failed("unsupported", `No adapter for provider ${lease.provider} is wired.`, "none")
      : await ports.trace.span("mooring.launch", calls.spanFacts(lease), async (note) => {
          const launched = await restoreAndLaunch(context, provider, lease, attemptId, secrets);
          note({ outcome: launched === null ? "given_up" : launched.ok ? "launched" : launched.failure.code });
          return launched;
        });
  if (result === null) return;
  calls.dispatch(
    result.ok
      ? { type: "launchSucceeded", generation, attemptId, host: result.value.host }
      : { type: "launchFailed", generation, attemptId, failure: result.failure, jitter: ports.ids.random() },
  );
}

/** The lease, while this attempt is the one under way: one that was given up, or is to be stopped, launches nothing more. */
function acting({ calls }: StepContext, generation: Generation, attemptId: AttemptId): Launching | null {
  const lease = calls.lease(generation);
  const current = lease?.phase === "launching" && lease.step.type === "acting" && lease.step.attemptId === attemptId;
  return current ? lease : null;
}

/** null: the attempt was given up, or a stop began, while the files were restored. */
async function restoreAndLaunch(
  context: StepContext,
  provider: AgentSandbox,
  lease: Launching,
  attemptId: AttemptId,
  secrets: LaunchSecrets,
): Promise<ProviderResult<Launched> | null> {
  const { ports, calls } = context;
  const { clock, policy } = ports;
  const { id: sessionId, snapshot, template, network } = calls.session();
  const notRestored = await restore(context, provider, lease, snapshot);
  if (notRestored !== null) return notRestored;
  if (acting(context, lease.generation, attemptId) === null) return null;
  // A restore that ended within its question has used some of the attempt's time.
  const left = lease.launchNotAfter - clock.now();
  const boundMs = snapshot === null ? policy.launchCallMs : Math.max(1_000, Math.min(policy.launchCallMs, left));
  const order: LaunchOrder = {
    sessionId,
    sandboxId: lease.sandboxId,
    ...(lease.container === undefined ? {} : { container: lease.container }),
    instanceId: lease.instanceId,
    generation: lease.generation,
    secret: lease.secret,
    launchNotAfter: lease.launchNotAfter,
    leaseTtlMs: policy.leaseTtlMs,
    jobGraceMs: policy.jobGraceMs,
    stopGraceMs: policy.stopGraceMs,
    env: secrets.env,
    ...(snapshot === null ? {} : { restore: snapshot.id }),
    ...(snapshot?.source === undefined ? {} : { restoreOf: snapshot.source }),
    ...(template === undefined ? {} : { template }),
    ...(network === undefined ? {} : { network: rulesOf(network, secrets) }),
  };
  const launched = await calls.call(boundMs, "launch", (bound) => provider.launch(order, bound));
  if (launched.ok && network !== undefined)
    confirmRules(context, lease.generation, network.version, startEnforces(rulesOf(network, secrets)));
  return launched;
}

/**
 * null: the launch may be sent. A restore may take far longer than a launch call, so it has a call of its own, repeated
 * until it is done. It starts no process, so a failed call always has effect `none`.
 */
async function restore(
  { ports, calls }: StepContext,
  provider: AgentSandbox,
  lease: Launching,
  snapshot: SnapshotRef | null,
): Promise<Refused | null> {
  const start = provider.snapshots?.restore?.bind(provider.snapshots);
  if (start === undefined || snapshot === null) return null;
  const { id: snapshotId, source } = snapshot;
  const { sandboxId, container, instanceId, generation } = lease;
  const sessionId = calls.session().id;
  const { observeMs } = ports.policy;
  // The host waits for half of the bound; its answer needs some of the rest.
  const about = { sessionId, sandboxId, instanceId, generation, snapshotId, waitMs: Math.floor(observeMs / 2) };
  const order = {
    ...about,
    ...(container === undefined ? {} : { container }),
    ...(source === undefined ? {} : { snapshotOf: source }),
  };
  const answer = await calls.call(observeMs, "restore", (bound) => start(order, bound));
  if (!answer.ok) return { ok: false, failure: { ...answer.failure, effect: "none" } };
  const { done, doneBytes, totalBytes } = answer.value;
  if (done) return null;
  const progress = totalBytes === null ? "it has not begun yet" : `${doneBytes} of ${totalBytes} bytes are read`;
  const { failure } = failed("restoring", `The saved files are being restored: ${progress}.`, "none");
  return { ok: false, failure: { ...failure, progress: { doneBytes, totalBytes } } };
}

export function unreadableEnv(why: string): string {
  return `The env of this session cannot be read: ${why}. It is kept, and tried again.`;
}
