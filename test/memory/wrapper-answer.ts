/** What a wrapper of the memory world answers, by the codes of the wire, and what each "no" means to a caller of the port. */
import type { wrapperErrorCodes } from "../../src/protocol/sandbox/wrapper.ts";

export type WrapperRefusal = (typeof wrapperErrorCodes)[number];

export type WrapperAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: WrapperRefusal; readonly message: string };

export function answered<T>(value: T): WrapperAnswer<T> {
  return { ok: true, value };
}

export function refused(code: WrapperRefusal, message: string): WrapperAnswer<never> {
  return { ok: false, code, message };
}
