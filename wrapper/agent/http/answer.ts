/** What a route answers; the server turns it into bytes. */
import type { WrapperError } from "../../../src/protocol/sandbox/wrapper.ts";

export type Answer =
  | { readonly type: "json"; readonly status: 200 | 201; readonly body: object }
  | { readonly type: "empty" }
  | { readonly type: "refused"; readonly code: WrapperError["code"]; readonly message: string }
  /** The chunks are awaited one by one: the next is asked for when the last is with the kernel. */
  | {
      readonly type: "bytes";
      readonly offset: number;
      readonly chunks: (signal: AbortSignal) => AsyncIterable<Buffer>;
    };

export const errorStatus = {
  unauthorized: 401,
  wrong_generation: 409,
  stale_renewal: 409,
  not_renewed: 409,
  draining: 409,
  preparing: 409,
  job_mismatch: 409,
  job_ended: 409,
  not_found: 404,
  too_many_jobs: 429,
  stdin_full: 429,
  invalid: 422,
  internal: 500,
} as const satisfies Record<WrapperError["code"], number>;

export function refuse(code: WrapperError["code"], message: string): Answer {
  return { type: "refused", code, message };
}

export function ok(body: object, status: 200 | 201 = 200): Answer {
  return { type: "json", status, body };
}
