/** Query strings and the headers that mean something: Prefer, Idempotency-Key, If-None-Match, Last-Event-ID, Accept. */
import { z } from "zod";
import { requestHeaders } from "../../protocol/header-names.ts";
import type { Reply } from "../../protocol/problem.ts";
import { validate, validationFailed } from "./validation.ts";

/** A worker holds the connection this long at most; clients ask again. */
const maxWaitSeconds = 60;

/** ms to wait, from `Prefer: wait=N`. Anything else in Prefer is ignored, as RFC 7240 says. */
export function preferredWaitMs(request: Request): number {
  for (const preference of (request.headers.get("prefer") ?? "").split(",")) {
    const [, seconds] = /^\s*wait\s*=\s*"?(\d{1,6})"?\s*(;|$)/i.exec(preference) ?? [];
    if (seconds !== undefined) return Math.min(Number(seconds), maxWaitSeconds) * 1_000;
  }
  return 0;
}

/** null: none was sent. */
export function idempotencyKey(request: Request): Reply<string | null> {
  const raw = request.headers.get("idempotency-key");
  if (raw === null) return { ok: true, value: null };
  const parsed = validate(
    z.object({ "Idempotency-Key": requestHeaders["idempotency-key"] }),
    { "Idempotency-Key": raw },
    "header",
  );
  return parsed.ok ? { ok: true, value: parsed.value["Idempotency-Key"] } : parsed;
}

/** The version that `If-Match` names (`"7"` or `"7-3f…"`), or `*`; null: it is missing or no single strong tag. */
export function ifMatchOf(request: Request): string | null {
  const header = request.headers.get("if-match")?.trim() ?? "";
  return header === "*" ? header : (/^"([^"-]{1,40})(-[0-9a-f]{16})?"$/.exec(header)?.[1] ?? null);
}

/** RFC 9110: weak comparison for If-None-Match. */
export function matchesAny(header: string | null, tag: string): boolean {
  if (header === null) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((each) => each.trim().replace(/^W\//, "") === tag);
}

/** Whether the client names this media type itself (wildcards do not count). */
export function accepts(request: Request, type: string): boolean {
  return mediaRanges(request).includes(type);
}

/** Whether any of these types would do for the client. No Accept at all takes anything. */
export function acceptsOneOf(request: Request, types: readonly string[]): boolean {
  const ranges = mediaRanges(request);
  if (ranges.length === 0) return true;
  return ranges.some(
    (range) => range === "*/*" || types.some((type) => range === type || range === `${type.split("/")[0]}/*`),
  );
}

function mediaRanges(request: Request): readonly string[] {
  return (request.headers.get("accept") ?? "")
    .split(",")
    .map((range) => (range.split(";")[0] ?? "").trim().toLowerCase())
    .filter((range) => range !== "");
}

/** Where to go on: `Last-Event-ID` (a reconnect) before the checked field of the query, else 0. */
export function resumePosition(request: Request, queried: string | undefined): Reply<number> {
  const last = request.headers.get("last-event-id");
  if (last === null || last === "") return { ok: true, value: Number(queried ?? 0) };
  const parsed = validate(
    z.object({ "Last-Event-ID": requestHeaders["last-event-id"] }),
    { "Last-Event-ID": last },
    "header",
  );
  return parsed.ok ? { ok: true, value: Number(parsed.value["Last-Event-ID"]) } : parsed;
}

/** Each parameter once, none but the schema's; `label[k]=v` is collected under `label`. */
export function readQuery<S extends z.ZodType>(request: Request, schema: S): Reply<z.output<S>> {
  const fields = new Map<string, string>();
  const asked = new Map<string, string>();
  for (const [name, value] of new URL(request.url).searchParams) {
    const label = /^label\[(.*)\]$/s.exec(name)?.[1];
    const target = label === undefined ? fields : asked;
    const key = label ?? name;
    if (target.has(key))
      return validationFailed([{ pointer: `query.${name.slice(0, 100)}`, detail: "It is given twice. Send it once." }]);
    target.set(key, value);
  }
  const label = asked.size === 0 ? {} : { label: Object.fromEntries(asked) };
  return validate(schema, { ...Object.fromEntries(fields), ...label }, "query");
}
