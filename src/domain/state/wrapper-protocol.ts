/**
 * Which versions of the wrapper's protocol this code speaks, and what each side concludes from a number.
 *
 * Both sides name a version and speak the lower of the two: a controller says its own with every request, a wrapper
 * answers with the one it will keep to. So an older wrapper is served through a deploy, and a newer one through a rollback;
 * neither is ever guessed at. docs/decisions/0016 has the rejected options.
 */

/** 2: prepares a workspace, and answers in the version that the controller speaks. */
export const wrapperProtocol = 2;
/** Still spoken: 1 knows jobs and leases only, and names its version without being asked. */
export const oldestWrapperProtocol = 1;
/** The first that can prepare a workspace. */
export const preparesSince = 2;

export type WrapperStanding =
  /** It speaks as we do (it may know more). */
  | "current"
  /** It is understood, finishes what it runs, and is replaced when it is idle and its files can be carried over. */
  | "older"
  /** Nothing it says may be interpreted: it is stopped, and what ran in it is lost. */
  | "unsupported";

/** `spoken`: what a wrapper answered with. */
export function wrapperStanding(spoken: number): WrapperStanding {
  if (spoken === wrapperProtocol) return "current";
  return Number.isInteger(spoken) && spoken >= oldestWrapperProtocol && spoken < wrapperProtocol
    ? "older"
    : "unsupported";
}

/** The version to speak with a controller that names `asked`; null: it names none, as a controller of protocol 1 does. */
export function protocolFor(asked: number | null): number {
  const theirs = asked ?? 1;
  return theirs >= oldestWrapperProtocol && theirs < wrapperProtocol ? theirs : wrapperProtocol;
}
