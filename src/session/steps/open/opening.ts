/**
 * Opening a lease, in order: mint a generation, read the secrets, reserve quota, make sure there is space, look whether the
 * sandbox id is free, store the lease, launch. Each effect is stored before it is carried out.
 */
import type { OpeningFailure } from "../../../domain/machine/events.ts";
import { isSpaceRefusal } from "../../../domain/rules/cold-admission.ts";
import { openingMs } from "../../../domain/rules/policy.ts";
import { isolatedSandboxId, type AttemptId, type InstanceId } from "../../../domain/state/ids.ts";
import type { Candidate } from "../../../domain/state/lease.ts";
import type { Session } from "../../../domain/state/session.ts";
import type { SessionPorts } from "../../ports.ts";
import { launch, unreadableEnv } from "./launching.ts";
import { reserve, waitingFailure } from "./reserving.ts";
import { ensureSpace } from "./space.ts";
import type { StepContext } from "../step-context.ts";

export async function openLease(context: StepContext): Promise<void> {
  const { ports, calls } = context;
  const session = calls.session();
  const { desired } = session;
  if (desired.type !== "running" || desired.provision === null) return;
  const minted = desired.provision.candidate ?? mint(ports, session);
  const attemptId = calls.attempt();
  const deadline = ports.clock.now() + openingMs(ports.policy);
  const started = calls.dispatch({ type: "openingStarted", attemptId, candidate: minted, deadline });
  if (started.type !== "moved") return;
  const fail = (failure: OpeningFailure): void =>
    void calls.dispatch({ type: "openingFailed", attemptId, failure, jitter: ports.ids.random() });

  // Before quota is reserved: without its env the session could not be launched. Awaited only when there are secrets.
  const opened = context.secrets.launch(session.id);
  const secrets = opened instanceof Promise ? await opened : opened;
  if (!secrets.ok) return fail({ code: "env_unreadable", message: unreadableEnv(secrets.why) });

  const candidate = await reservedCandidate(context, session, minted, fail);
  if (candidate === null) return;
  if (!(await hasSpace(context, candidate, attemptId, fail))) return;
  const observation = await calls.look(candidate);
  if (observation.answer === "present") {
    calls.dispatch({ type: "orphanFound", candidate, observation });
    return;
  }
  if (observation.answer === "unknown" || observation.host === null) {
    const message = `The provider cannot say whether the new sandbox id is free: ${observation.detail}`;
    return fail({ code: "unavailable", message });
  }
  const launchAttemptId = calls.attempt();
  const { container } = candidate;
  const joined = container === undefined ? {} : { container };
  const moved = calls.dispatch({ type: "leaseOpened", attemptId, launchAttemptId, observation, ...joined });
  if (moved.type === "moved") await launch(context, candidate.generation, launchAttemptId, secrets.value);
}

function mint(ports: SessionPorts, session: Session): Candidate {
  const generation = session.nextGeneration;
  return {
    generation,
    instanceId: ports.ids.id() as InstanceId,
    sandboxId: isolatedSandboxId(session.id, generation),
    provider: session.provider,
    secret: ports.ids.secret(),
  };
}

/** The candidate with its seat in a shared container, if it has one. null: no quota; that is reported already. */
async function reservedCandidate(
  { ports, pendingCreate }: StepContext,
  session: Session,
  minted: Candidate,
  fail: (failure: OpeningFailure) => void,
): Promise<Candidate | null> {
  const reserved = await reserve(ports, session, minted);
  if (reserved.granted) {
    // It is a member of the container from its reservation on, until that is released.
    const { container } = reserved;
    return container === undefined ? minted : { ...minted, container };
  }
  if ("refused" in reserved) {
    const { refused } = reserved;
    if (!pendingCreate.take({ type: "refused", refusal: refused })) fail(waitingFailure(refused, ports.clock.now()));
    return null;
  }
  const { failed } = reserved;
  const usedBefore = failed.code === "stale_generation";
  if (usedBefore && pendingCreate.take({ type: "idUsedBefore", above: failed.above ?? 0 })) return null;
  fail(failed);
  return null;
}

/** false: there is no space; that is reported already. */
async function hasSpace(
  context: StepContext,
  candidate: Candidate,
  attemptId: AttemptId,
  fail: (failure: OpeningFailure) => void,
): Promise<boolean> {
  const failure = await ensureSpace(context, candidate, attemptId);
  if (failure === null) return true;
  const { code, message } = failure;
  const refused = isSpaceRefusal(code) ? ({ code, words: message } as const) : null;
  if (refused !== null && context.pendingCreate.take({ type: "refused", refusal: refused })) return false;
  fail(failure);
  return false;
}
