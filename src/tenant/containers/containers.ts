/**
 * The shared containers of a tenant, as rows: one JSON body each, written whole. Every function runs inside a transaction of
 * the caller, so that joining, leaving and the beginning of an end are one write with the reservation they follow from.
 * Decides nothing: domain/state/container.ts does.
 */
import {
  condemned,
  containerFor,
  newContainer,
  nextReviewAt,
  reviewed,
  type Container,
  type ContainerTerms,
  type Member,
  type ContainerWithMembers,
} from "../../domain/state/container.ts";
import { containerId, type ContainerId } from "../../domain/state/ids.ts";
import type { Policy } from "../../domain/rules/policy.ts";
import type { ReserveOrder, SharedContainerRequest } from "../../session/reports/reports.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import { containerOverdueFrom } from "../../domain/rules/container-exits.ts";
import type { OverdueContainer } from "../../fleet/shard/shard-api.ts";
import { countsChanged, membersOf } from "../quota/reservations.ts";

/** As an operator sees it. */
export interface ListedContainer extends ContainerWithMembers {
  /** Counts up with each change of its record: what an operator decided on. */
  readonly revision: number;
  /** From when on its end is past its bound; null: it is not being ended, or is asserted gone. */
  readonly overdueFrom: number | null;
}

export function readContainer(sql: Sql, id: ContainerId): Container | null {
  const row = sql.run("SELECT body FROM container WHERE id = ?", id)[0];
  return row === undefined ? null : parse(row);
}

/** In the order of the id, strictly after `after`; `phase` null: in whatever phase. */
export function containersAfter(
  sql: Sql,
  after: ContainerId | null,
  limit: number,
  phase: Container["phase"] | null,
  policy: Policy,
): readonly ListedContainer[] {
  const statement = "SELECT body FROM container WHERE id > ? AND (? IS NULL OR phase = ?) ORDER BY id LIMIT ?";
  return sql.run(statement, after ?? "", phase, phase, limit).map((row) => listed(sql, row, policy));
}

export function containerById(sql: Sql, id: ContainerId, policy: Policy): ListedContainer | null {
  const row = sql.run("SELECT body FROM container WHERE id = ?", id)[0];
  return row === undefined ? null : listed(sql, row, policy);
}

function listed(sql: Sql, row: SqlRow, policy: Policy): ListedContainer {
  const container = parse(row);
  return {
    ...withMembers(sql, container),
    revision: revisionIn(row),
    overdueFrom: containerOverdueFrom(container, policy),
  };
}

/** Containers being ended, with the instant from which that is overdue, earliest first. The index gets them for the alerts. */
export function overdueContainers(sql: Sql, policy: Policy): readonly OverdueContainer[] {
  return sql
    .run("SELECT body FROM container WHERE phase = 'stopping'")
    .map(parse)
    .flatMap((container) => {
      const from = containerOverdueFrom(container, policy);
      return from === null ? [] : [{ id: container.id, from }];
    })
    .toSorted((a, b) => a.from - b.from)
    .slice(0, overdueAtMost);
}

/** Told with every change of the tenant's counts: the first few are enough to start looking. */
const overdueAtMost = 5;

export function withMembers(sql: Sql, container: Container): ContainerWithMembers {
  return { container, members: membersIn(sql, container.id) };
}

/** The container that the holder of this order is a member of from now on. */
export function join(
  sql: Sql,
  order: ReserveOrder,
  request: SharedContainerRequest,
  terms: ContainerTerms,
  now: number,
): ContainerId {
  if (request.unusable !== undefined) condemn(sql, request.unusable.container, request.unusable.why, terms, now);
  const known = containerFor(open(sql), { sessionId: order.sessionId, provider: request.provider }, terms, now);
  if (known !== null) return known;
  const made = newContainer(containerId(order.sandboxId), request.provider, now);
  write(sql, made, null, terms, now);
  return made.id;
}

/** It is neither ending nor gone. */
export function takesMembers(sql: Sql, id: ContainerId): boolean {
  return readContainer(sql, id)?.phase === "open";
}

/** It was told where it is, by a member that was launched there. */
export function recordHost(sql: Sql, id: ContainerId, host: string, terms: ContainerTerms, now: number): void {
  const container = readContainer(sql, id);
  if (container?.host !== null || container.phase === "gone") return;
  write(sql, { ...container, host }, lookAt(sql, id), terms, now);
}

/** After any change of who is a member: which of the open ones are to end. */
export function reviewOpen(sql: Sql, terms: ContainerTerms, now: number): void {
  for (const { container, members } of open(sql)) {
    if (container.phase !== "open") continue;
    const next = reviewed(container, members, terms.policy, now);
    const look = nextReviewAt(next, members, terms.policy);
    if (next !== container || look !== lookAt(sql, container.id)) write(sql, next, look, terms, now);
  }
}

/** Stores a container whose step or evidence changed. */
export function storeContainer(sql: Sql, container: Container, terms: ContainerTerms, now: number): void {
  write(sql, container, nextReviewAt(container, membersIn(sql, container.id), terms.policy), terms, now);
}

/** Due by now, those that wait the longest first. */
export function dueContainers(sql: Sql, now: number, limit: number): readonly Container[] {
  return sql.run("SELECT body FROM container WHERE look_at <= ? ORDER BY look_at LIMIT ?", now, limit).map(parse);
}

export function earliestContainerLook(sql: Sql): number | null {
  const look = sql.run("SELECT min(look_at) AS look FROM container")[0]?.["look"];
  return typeof look === "number" ? look : null;
}

/** The receipts of those that went long ago, and those that were asserted gone as long ago and never seen since. How many. */
export function pruneContainers(sql: Sql, before: number, limit: number): number {
  const removed = sql.run(
    `DELETE FROM container WHERE id IN (
       SELECT id FROM container WHERE NOT EXISTS (
         SELECT 1 FROM reservation WHERE reservation.container = container.id AND state NOT IN ('proven', 'cancelled')
       ) AND (
         (phase = 'gone' AND changed_at < ?) OR (phase = 'stopping' AND json_extract(body, '$.assertion.at') < ?)
       ) LIMIT ?) RETURNING id`,
    ...[before, before, limit],
  );
  return removed.length;
}

function condemn(sql: Sql, id: ContainerId, why: string, terms: ContainerTerms, now: number): void {
  const container = readContainer(sql, id);
  if (container?.phase === "open") storeContainer(sql, condemned(container, why, now), terms, now);
}

function open(sql: Sql): readonly ContainerWithMembers[] {
  const rows = sql.run("SELECT body FROM container WHERE phase = 'open' ORDER BY id");
  return rows.map((row) => withMembers(sql, parse(row)));
}

function membersIn(sql: Sql, id: ContainerId): readonly Member[] {
  return membersOf(sql, id).map(({ sessionId, generation, sandboxId, state, changedAt }) => ({
    sessionId,
    generation,
    sandboxId,
    // The query left the released ones out.
    state: state as Member["state"],
    since: changedAt,
  }));
}

function lookAt(sql: Sql, id: ContainerId): number | null {
  const look = sql.run("SELECT look_at FROM container WHERE id = ?", id)[0]?.["look_at"];
  return typeof look === "number" ? look : null;
}

function write(sql: Sql, container: Container, look: number | null, { policy }: ContainerTerms, now: number): void {
  const row = sql.run("SELECT body FROM container WHERE id = ?", container.id)[0];
  const revision = (row === undefined ? 0 : revisionIn(row)) + 1;
  sql.run(
    "INSERT OR REPLACE INTO container (id, phase, look_at, changed_at, body) VALUES (?, ?, ?, ?, ?)",
    ...[container.id, container.phase, look, now, JSON.stringify({ ...container, revision })],
  );
  const before = row === undefined ? null : containerOverdueFrom(parse(row), policy);
  if (before !== containerOverdueFrom(container, policy)) countsChanged(sql);
}

/** Fields that rows of earlier releases lack. */
const ofBefore = { earlierAttempts: 0, assertion: null };

function parse(row: SqlRow): Container {
  const { revision: _, ...container } = JSON.parse(row["body"] as string) as Container & { revision?: number };
  return container.phase === "open" ? container : { ...ofBefore, ...container };
}

function revisionIn(row: SqlRow): number {
  return (JSON.parse(row["body"] as string) as { revision?: number }).revision ?? 0;
}
