/**
 * The end of shared containers, stored: which attempts are due, one that begins, what it came to, and an operator's word.
 * Every function runs inside one transaction of the caller. Decides nothing: domain/state/container.ts and domain/rules/container-exits.ts do.
 */
import {
  attemptAbandoned,
  attemptFinished,
  attemptStarted,
  type AttemptResult,
  type Container,
  type ContainerTerms,
  type StoppingContainer,
} from "../../domain/state/container.ts";
import { type ContainerResolution, resolved } from "../../domain/rules/container-exits.ts";
import type { AttemptId, ContainerId } from "../../domain/state/ids.ts";
import type { Sql } from "../../storage/sql.ts";
import { containerById, dueContainers, readContainer, reviewOpen, storeContainer } from "./containers.ts";
import type { ContainerReply } from "../tenant-api.ts";

/** The containers whose next attempt is due. An attempt that did not report back within its bound is abandoned first. */
export function takeDue(
  sql: Sql,
  jitter: () => number,
  limit: number,
  terms: ContainerTerms,
  now: number,
): readonly StoppingContainer[] {
  reviewOpen(sql, terms, now);
  for (const each of dueContainers(sql, now, limit)) {
    const over = each.phase === "stopping" ? attemptAbandoned(each, jitter(), terms.policy, now) : null;
    if (over !== null) storeContainer(sql, over, terms, now);
  }
  return dueContainers(sql, now, limit).filter((each) => each.phase === "stopping");
}

/** null: no attempt is due. */
export function beginAttempt(
  sql: Sql,
  id: ContainerId,
  attemptId: AttemptId,
  terms: ContainerTerms,
  now: number,
): StoppingContainer | null {
  const container = readContainer(sql, id);
  const begun = container?.phase === "stopping" ? attemptStarted(container, attemptId, terms.policy, now) : null;
  if (begun !== null) storeContainer(sql, begun, terms, now);
  return begun;
}

/** null: the attempt was given up before, and changes nothing. */
export function finishAttempt(
  sql: Sql,
  id: ContainerId,
  result: AttemptResult,
  terms: ContainerTerms,
  now: number,
): Container | null {
  const container = readContainer(sql, id);
  const next = container?.phase === "stopping" ? attemptFinished(container, result, terms.policy, now) : null;
  if (next !== null) storeContainer(sql, next, terms, now);
  return next;
}

/** An operator's act on a container that was at `revision` when it was decided on; null: whatever it is by now. */
export function resolveContainer(
  sql: Sql,
  id: ContainerId,
  order: ContainerResolution,
  revision: number | null,
  terms: ContainerTerms,
  now: number,
): ContainerReply {
  const known = containerById(sql, id, terms.policy);
  if (known === null) return { type: "unknown" };
  if (revision !== null && revision !== known.revision) return { type: "changed" };
  const outcome = resolved(known.container, order, terms.policy, now);
  if (outcome.type === "rejected") return outcome;
  storeContainer(sql, outcome.container, terms, now);
  return { type: "moved", container: containerById(sql, id, terms.policy) ?? known };
}
