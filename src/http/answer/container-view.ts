/** A shared container on the wire, with its proof in words: the same claim, from the same evidence, as a session's receipt. */
import type { Container, GoneContainer, StoppingContainer } from "../../domain/state/container.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import type { ContainerView } from "../../protocol/resources/operator/containers.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { ListedContainer } from "../../tenant/containers/containers.ts";
import { viewOfLook } from "../../protocol/resources/session/sessions.ts";

export function containerView(tenant: TenantId, listed: ListedContainer): ContainerView {
  const { container, members } = listed;
  return {
    id: container.id,
    tenant,
    provider: container.provider,
    host: container.host,
    phase: container.phase,
    created_at: rfc3339(container.createdAt),
    since: rfc3339(sinceOf(container)),
    members: members.map(({ sessionId, sandboxId, generation, state, since }) => ({
      ...{ session_id: sessionId, sandbox_id: sandboxId, generation, state, since: rfc3339(since) },
    })),
    takes_no_newcomers: container.phase === "open" ? (container.condemned?.why ?? null) : null,
    end: container.phase === "open" ? null : endView(container, listed.overdueFrom),
  };
}

function sinceOf(container: Container): number {
  switch (container.phase) {
    case "open":
      return container.createdAt;
    case "stopping":
      return container.requestedAt;
    case "gone":
      return container.verifiedAbsentAt;
  }
}

function endView(
  container: StoppingContainer | GoneContainer,
  overdueFrom: number | null,
): NonNullable<ContainerView["end"]> {
  const { reason, requestedAt, retired, observations, assertion } = container;
  const waiting = container.phase === "stopping" && container.step.type === "waiting" ? container.step : null;
  const gone = container.phase === "gone" ? container : null;
  return {
    reason,
    requested_at: rfc3339(requestedAt),
    attempts: attemptsOf(container),
    next_attempt_at: at(waiting?.nextAttemptAt ?? null),
    overdue_at: at(overdueFrom),
    last_error: container.phase === "stopping" ? container.lastError : null,
    retired_at: at(retired?.at ?? null),
    observations: observations.map(viewOfLook),
    asserted_absent: assertion === null ? null : { ...assertion, at: rfc3339(assertion.at) },
    verified_absent_at: at(gone?.verifiedAbsentAt ?? null),
    evidence: gone === null ? null : evidence(gone),
  };
}

function attemptsOf({ attempts, earlierAttempts }: StoppingContainer | GoneContainer): number {
  return attempts + earlierAttempts;
}

function evidence(gone: GoneContainer): string {
  const looks = gone.observations.slice(-2).map((look) => rfc3339(look.beganAt));
  const count = attemptsOf(gone);
  return (
    `Provider ${gone.provider}, host ${gone.retired.host}, retired the container at ${rfc3339(gone.retired.at)}. ` +
    `After ${count} ${count === 1 ? "attempt" : "attempts"} to destroy it, two looks (${looks.join(" and ")}) found nothing of it.`
  );
}

function at(instant: number | null): string | null {
  return instant === null ? null : rfc3339(instant);
}
