/**
 * Checks a caller: the controller's token in constant time, then the fencing token, then the lease. In this order, so that
 * a stranger learns nothing about generations, and so that nobody but the controller can make a wrapper fence itself.
 */
import type { IncomingHttpHeaders } from "node:http";
import { wrapperHeaders } from "../../../src/protocol/sandbox/wrapper.ts";
import { refuse, type Answer } from "./answer.ts";
import { isSameSecret } from "../../relay/same-secret.ts";

export interface Admission {
  readonly token: string;
  readonly generation: number;
}

export type Admitted =
  | { readonly type: "admitted" }
  | { readonly type: "refused"; readonly answer: Answer; readonly newerGeneration: boolean };

/** The protocol version that the controller names; null: it names none, as a controller of protocol 1 does. */
export function protocolOf(headers: IncomingHttpHeaders): number | null {
  const text = headers[wrapperHeaders.protocol];
  return typeof text === "string" && /^\d{1,6}$/.test(text) ? Number(text) : null;
}

const noncePattern = /^[0-9a-f]{32}$/;

/** null: none, or not one. */
export function nonceOf(headers: IncomingHttpHeaders): string | null {
  const nonce = headers[wrapperHeaders.nonce];
  return typeof nonce === "string" && noncePattern.test(nonce) ? nonce : null;
}

export function admit(admission: Admission, headers: IncomingHttpHeaders): Admitted {
  const no = (answer: Answer, newerGeneration = false): Admitted => ({ type: "refused", answer, newerGeneration });
  if (!isSameSecret(headers.authorization, `Bearer ${admission.token}`)) {
    return no(refuse("unauthorized", "The controller's token of this instance is needed."));
  }
  if (nonceOf(headers) === null) return no(refuse("invalid", `${wrapperHeaders.nonce} must be 32 hex digits.`));
  const text = headers[wrapperHeaders.generation];
  if (typeof text !== "string" || !/^\d{1,15}$/.test(text)) {
    return no(refuse("invalid", `${wrapperHeaders.generation} must be a decimal generation.`));
  }
  const generation = Number(text);
  if (generation === admission.generation) return { type: "admitted" };
  return no(
    refuse("wrong_generation", `This is generation ${admission.generation}.`),
    generation > admission.generation,
  );
}
