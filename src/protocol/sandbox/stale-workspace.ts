/**
 * Which workspace may be removed to make room: one rule for every provider. It is stale only when all of it holds:
 * it has our name, it is not of the session that asks, its provider has a record of it, nothing in it was touched for
 * twenty minutes, and no process of it lives or starts. Whatever cannot be told speaks against removing.
 */

/** A wrapper that lost its lease ended itself long before; a launch takes a minute. Below this something may still be on its way. */
export const untouchedForMs = 20 * 60_000;

const ours = /^([a-z0-9]{20})-g(\d{1,16})$/;

export interface WorkspaceSeen {
  /** Name of the directory. */
  readonly name: string;
  /** The provider remembers what was launched in it. */
  readonly recorded: boolean;
  /** Since the last change of anything in it; null: it could not be told. */
  readonly untouchedMs: number | null;
  /** `unknown`: processes could not be inspected. */
  readonly processes: "none" | "live" | "starting" | "unknown";
}

/** null: it is stale. Otherwise why it stays. */
export function keptBecause(
  seen: WorkspaceSeen,
  askingSession: string,
  staleAfterMs: number = untouchedForMs,
): string | null {
  const named = ours.exec(seen.name);
  if (named === null) return "its name is not one of ours";
  if (named[1] === askingSession) return "it is of the session that asks";
  if (!seen.recorded) return "nothing is known of it";
  switch (seen.processes) {
    case "unknown":
      return "processes could not be inspected";
    case "live":
      return "something of it is running";
    case "starting":
      return "it is being started";
    case "none":
      break;
  }
  if (seen.untouchedMs === null) return "when it was last touched could not be told";
  return seen.untouchedMs >= staleAfterMs ? null : "it was touched less than 20 minutes ago";
}
