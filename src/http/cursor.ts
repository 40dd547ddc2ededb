/** List cursors: opaque to clients, a keyset position to us. Checked like any other input: a forged one is 422. */
import type { SessionId } from "../domain/ids.ts";
import { sessionIdPattern } from "../protocol/primitives.ts";
import type { ListQuery } from "../fleet/shard-api.ts";

type Position = NonNullable<ListQuery["after"]>;

export function encodeCursor(position: Position): string {
  return btoa(`1:${position.createdAt}:${position.id}`).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** null: not a cursor of ours. */
export function decodeCursor(text: string): Position | null {
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(text)) return null;
  const [version, createdAt, id, rest] = decodeBase64Url(text).split(":");
  if (version !== "1" || createdAt === undefined || id === undefined || rest !== undefined) return null;
  if (!/^\d{1,15}$/.test(createdAt) || !sessionIdPattern.test(id)) return null;
  return { createdAt: Number(createdAt), id: id as SessionId };
}

function decodeBase64Url(text: string): string {
  try {
    return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return "";
  }
}
