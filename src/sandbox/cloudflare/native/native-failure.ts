/**
 * What each error of the container API means. All are plain `Error`s, told apart by their message alone. For an error
 * that is not in the table the caller must assume an effect.
 */
import type { ProviderFailure, ProviderFailureCode } from "../../../domain/state/failure.ts";

interface Meaning {
  readonly pattern: RegExp;
  readonly code: ProviderFailureCode;
  readonly effect: "none" | "unknown";
}

const meanings: readonly Meaning[] = [
  // The call reached nobody.
  { pattern: /is not listening to port/i, code: "unavailable", effect: "none" },
  { pattern: /container ingress proxy is not running/i, code: "unavailable", effect: "none" },
  { pattern: /cannot be called on a container that is not running/i, code: "unavailable", effect: "none" },
  {
    pattern: /start\(\) cannot be called on a container that is already running/i,
    code: "foreign_instance",
    effect: "none",
  },
  // The platform took the call; it may or may not have had its effect.
  { pattern: /requires a running container|container failed to start/i, code: "start_failed", effect: "unknown" },
  { pattern: /network connection lost|container connectivity was lost/i, code: "unavailable", effect: "unknown" },
  { pattern: /container connection is temporarily unavailable/i, code: "unavailable", effect: "unknown" },
  { pattern: /exited with unexpected exit code/i, code: "unavailable", effect: "unknown" },
  { pattern: /is paused, unpause the container/i, code: "unavailable", effect: "none" },
  // The platform refuses such a start before it does anything.
  {
    pattern: /invalid container instance type|container resource|mutually exclusive|cannot contain '='/i,
    code: "invalid",
    effect: "none",
  },
  { pattern: /snapshot .* was not found/i, code: "not_found", effect: "none" },
];

/** null: the error is not in the table. `changes`: whether the call may have an effect; a read never has one. */
export function nativeFailure(error: unknown, changes: boolean): ProviderFailure | null {
  const message = error instanceof Error ? error.message : String(error);
  const meaning = meanings.find(({ pattern }) => pattern.test(message));
  if (meaning === undefined) return null;
  return { code: meaning.code, effect: changes ? meaning.effect : "none", message: message.slice(0, 300) };
}
