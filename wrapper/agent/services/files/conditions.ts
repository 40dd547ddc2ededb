/** Conditional requests and ranges, as RFC 9110 orders them. Pure. */
import type { IncomingHttpHeaders } from "node:http";
import { ServiceFailure } from "../service-failure.ts";

export interface Representation {
  readonly etag: string;
  /** Epoch ms, whole seconds: what an HTTP date can say. */
  readonly modifiedAt: number;
}

/** `present` null: there is no such file. */
export function checkPreconditions(
  headers: IncomingHttpHeaders,
  present: Representation | null,
  isRead: boolean,
): "proceed" | "not_modified" {
  const match = headers["if-match"];
  if (match !== undefined) {
    if (!lists(match, present, true)) throw failed("If-Match");
  } else if (isAfter(headers["if-unmodified-since"], present)) throw failed("If-Unmodified-Since");
  const none = headers["if-none-match"];
  if (none !== undefined) {
    if (!lists(none, present, false)) return "proceed";
    if (isRead) return "not_modified";
    throw failed("If-None-Match");
  }
  const since = isRead ? dateOf(headers["if-modified-since"]) : null;
  return since !== null && present !== null && present.modifiedAt <= since ? "not_modified" : "proceed";
}

function failed(header: string): ServiceFailure {
  return new ServiceFailure(
    "precondition_failed",
    `${header} does not hold: the file is not as you knew it. Read it again, then decide.`,
  );
}

function lists(header: string, present: Representation | null, strong: boolean): boolean {
  if (present === null) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((each) => {
    const tag = each.trim();
    return (tag.startsWith("W/") ? (strong ? "" : tag.slice(2)) : tag) === present.etag;
  });
}

function isAfter(header: string | undefined, present: Representation | null): boolean {
  const date = dateOf(header);
  return date !== null && present !== null && present.modifiedAt > date;
}

function dateOf(header: string | undefined): number | null {
  const date = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isNaN(date) ? null : date;
}

export interface ByteRange {
  readonly from: number;
  /** Inclusive. */
  readonly to: number;
}

/** null: the whole. Several ranges at once are answered with the whole, as HTTP allows. */
export function rangeOf(headers: IncomingHttpHeaders, size: number, present: Representation): ByteRange | null {
  const asked = /^bytes=(\d*)-(\d*)$/.exec(headers.range?.trim() ?? "");
  const [, first = "", last = ""] = asked ?? [];
  if (first === "" && last === "") return null;
  const condition = headers["if-range"];
  if (typeof condition === "string") {
    const isTag = condition.startsWith('"') || condition.startsWith("W/");
    if (isTag ? condition !== present.etag : dateOf(condition) !== present.modifiedAt) return null;
  }
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const from = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (from >= size || (first === "" && Number(last) === 0))
    throw new ServiceFailure("range_not_satisfiable", `The file has ${size} bytes.`, { size });
  return { from, to };
}
