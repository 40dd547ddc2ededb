/**
 * The shared containers of a tenant, as rows: one JSON body each, written whole. Every function runs inside a transaction of
 * the caller, so that joining, leaving and the beginning of an end are one write with the reservation they follow from
 * (CAP-10). Decides nothing: domain/container.ts does.
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
  type Peopled,
} from "../domain/container.ts";
import { containerId, type ContainerId } from "../domain/ids.ts";
import type { ReserveOrder, SharedWish } from "../session/reports.ts";
import type { Sql, SqlRow } from "../storage/sql.ts";
import { membersOf } from "./reservations.ts";

export function readContainer(sql: Sql, id: ContainerId): Container | null {
  const row = sql.run("SELECT body FROM container WHERE id = ?", id)[0];
  return row === undefined ? null : parse(row);
}

/** In the order of the id, strictly after `after`. */
export function containersAfter(sql: Sql, after: ContainerId | null, limit: number): readonly Container[] {
  return sql.run("SELECT body FROM container WHERE id > ? ORDER BY id LIMIT ?", after ?? "", limit).map(parse);
}

export function peopled(sql: Sql, container: Container): Peopled {
  return { container, members: membersIn(sql, container.id) };
}

/** The container that the holder of this order is a member of from now on. */
export function join(sql: Sql, order: ReserveOrder, wish: SharedWish, terms: ContainerTerms, now: number): ContainerId {
  if (wish.unusable !== undefined) condemn(sql, wish.unusable.container, wish.unusable.why, terms, now);
  const known = containerFor(open(sql), { sessionId: order.sessionId, provider: wish.provider }, terms, now);
  if (known !== null) return known;
  const made = newContainer(containerId(order.sandboxId), wish.provider, now);
  write(sql, made, null, now);
  return made.id;
}

/** It was told where it is, by a member that was launched there. */
export function learnHost(sql: Sql, id: ContainerId, host: string, now: number): void {
  const container = readContainer(sql, id);
  if (container?.host !== null || container.phase === "gone") return;
  write(sql, { ...container, host }, lookAt(sql, id), now);
}

/** After any change of who is a member: which of the open ones are to end. */
export function reviewOpen(sql: Sql, terms: ContainerTerms, now: number): void {
  for (const { container, members } of open(sql)) {
    if (container.phase !== "open") continue;
    const next = reviewed(container, members, terms.policy, now);
    const look = nextReviewAt(next, members, terms.policy);
    if (next !== container || look !== lookAt(sql, container.id)) write(sql, next, look, now);
  }
}

/** Of one whose step or evidence changed. */
export function storeContainer(sql: Sql, container: Container, terms: ContainerTerms, now: number): void {
  write(sql, container, nextReviewAt(container, membersIn(sql, container.id), terms.policy), now);
}

/** Due by now, those that wait the longest first. */
export function dueContainers(sql: Sql, now: number, limit: number): readonly Container[] {
  return sql.run("SELECT body FROM container WHERE look_at <= ? ORDER BY look_at LIMIT ?", now, limit).map(parse);
}

export function earliestContainerLook(sql: Sql): number | null {
  const look = sql.run("SELECT min(look_at) AS look FROM container")[0]?.["look"];
  return typeof look === "number" ? look : null;
}

/** The receipts of those that went long ago. */
export function pruneContainers(sql: Sql, before: number, limit: number): void {
  sql.run(
    `DELETE FROM container WHERE id IN (
       SELECT id FROM container WHERE phase = 'gone' AND changed_at < ? AND NOT EXISTS (
         SELECT 1 FROM reservation WHERE reservation.container = container.id AND state NOT IN ('proven', 'cancelled')
       ) LIMIT ?)`,
    ...[before, limit],
  );
}

function condemn(sql: Sql, id: ContainerId, why: string, terms: ContainerTerms, now: number): void {
  const container = readContainer(sql, id);
  if (container?.phase === "open") storeContainer(sql, condemned(container, why, now), terms, now);
}

function open(sql: Sql): readonly Peopled[] {
  const rows = sql.run("SELECT body FROM container WHERE phase = 'open' ORDER BY id");
  return rows.map((row) => peopled(sql, parse(row)));
}

function membersIn(sql: Sql, id: ContainerId): readonly Member[] {
  return membersOf(sql, id).map(({ sessionId, generation, state, changedAt }) => ({
    sessionId,
    generation,
    // The query left the released ones out.
    state: state as Member["state"],
    since: changedAt,
  }));
}

function lookAt(sql: Sql, id: ContainerId): number | null {
  const look = sql.run("SELECT look_at FROM container WHERE id = ?", id)[0]?.["look_at"];
  return typeof look === "number" ? look : null;
}

function write(sql: Sql, container: Container, look: number | null, now: number): void {
  sql.run(
    "INSERT OR REPLACE INTO container (id, phase, look_at, changed_at, body) VALUES (?, ?, ?, ?, ?)",
    ...[container.id, container.phase, look, now, JSON.stringify(container)],
  );
}

function parse(row: SqlRow): Container {
  return JSON.parse(row["body"] as string) as Container;
}
