/** What a transition answers. There is no fourth way: an event that changes nothing says why. */
import type { Effect, Note, Rejection, RejectionCode } from "./events.ts";
import type { Generation } from "../state/ids.ts";
import type { Policy } from "../rules/policy.ts";
import type { Session } from "../state/session.ts";

export interface Context {
  /** Epoch ms. */
  readonly now: number;
  readonly policy: Policy;
}

export interface Moved {
  readonly type: "moved";
  readonly session: Session;
  readonly effects: readonly Effect[];
}
export interface Ignored {
  readonly type: "ignored";
  readonly why: string;
}
export interface Rejected {
  readonly type: "rejected";
  readonly rejection: Rejection;
}
export type Outcome = Moved | Ignored | Rejected;

export function moved(session: Session, ...effects: readonly Effect[]): Moved {
  return { type: "moved", session, effects };
}

export function ignored(why: string): Ignored {
  return { type: "ignored", why };
}

export function rejected(code: RejectionCode, detail: string, retryAt: number | null = null): Rejected {
  return { type: "rejected", rejection: { code, detail, retryAt } };
}

export function note(
  type: Note["type"],
  cause: string,
  generation: Generation | null,
  facts: Note["facts"] = {},
): Effect {
  return { type: "note", note: { type, cause, generation, facts } };
}
