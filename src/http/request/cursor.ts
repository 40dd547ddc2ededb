/** List cursors: opaque to clients, a keyset position to us. Checked like any other input: a forged one is 422. */
import type { ContainerId, SessionId, TenantId } from "../../domain/state/ids.ts";
import { containerIdPattern } from "../../protocol/resources/operator/containers.ts";
import { sessionIdPattern, tenantName } from "../../protocol/primitives.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { ListQuery } from "../../fleet/shard/shard-api.ts";
import { validationFailed } from "./validation.ts";
import { fromBase64Url, toBase64Url } from "../../protocol/bytes.ts";

/** The cursor is not one that this list gave out. `field`: where it was sent; `given`: the answer's name for it. */
export function badCursor(field = "query.cursor", given = "next_cursor"): Extract<Reply<never>, { ok: false }> {
  return validationFailed([
    { pointer: field, detail: `Not a cursor of this list. Send the \`${given}\` of the page before, unchanged.` },
  ]) as Extract<Reply<never>, { ok: false }>;
}

type Position = NonNullable<ListQuery["after"]>;

export function encodeCursor(position: Position): string {
  return toBase64Url(`1:${position.createdAt}:${position.id}`);
}

/** null: not a cursor of ours. */
export function decodeCursor(text: string): Position | null {
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(text)) return null;
  const [version, createdAt, id, rest] = decoded(text).split(":");
  if (version !== "1" || createdAt === undefined || id === undefined || rest !== undefined) return null;
  if (!/^\d{1,15}$/.test(createdAt) || !sessionIdPattern.test(id)) return null;
  return { createdAt: Number(createdAt), id: id as SessionId };
}

/** In the list of shared containers: by tenant, then by id. */
export interface ContainerPosition {
  readonly tenant: TenantId;
  readonly id: ContainerId;
}

export function encodeContainerCursor({ tenant, id }: ContainerPosition): string {
  return toBase64Url(`c1:${tenant}:${id}`);
}

/** null: not a cursor of ours. */
export function decodeContainerCursor(text: string): ContainerPosition | null {
  if (!/^[A-Za-z0-9_-]{1,120}$/.test(text)) return null;
  const [version, tenant = "", id = "", rest] = decoded(text).split(":");
  if (version !== "c1" || rest !== undefined) return null;
  if (!tenantName.safeParse(tenant).success || !containerIdPattern.test(id)) return null;
  return { tenant: tenant as TenantId, id: id as ContainerId };
}

function decoded(text: string): string {
  try {
    return fromBase64Url(text);
  } catch {
    return "";
  }
}

/** One page of rows of which one more than `limit` was asked for: that one tells whether there is another page. */
export function pageOf<T>(rows: readonly T[], limit: number, cursorOf: (last: T) => string) {
  const data = rows.slice(0, limit);
  const last = data.at(-1);
  return { data, next_cursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}
