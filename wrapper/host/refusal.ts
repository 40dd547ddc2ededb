/** Every "no" of the host, with its one status. */
import type { z } from "zod";
import type { hostErrorCodes } from "../../src/protocol/host.ts";

export type RefusalCode = (typeof hostErrorCodes)[number];

export const refusalStatus: { readonly [Code in RefusalCode]: number } = {
  unauthorized: 401,
  scanning: 503,
  refused_retired: 409,
  refused_late: 409,
  occupied: 409,
  not_found: 404,
  not_empty: 409,
  launch_failed: 500,
  save_failed: 500,
  insufficient_space: 507,
  space_unmeasurable: 503,
  filesystem_unusable: 507,
  invalid: 422,
  internal: 500,
};

export class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The value, or the refusal `invalid` with what is wrong about it. */
export function parsed<Schema extends z.ZodType>(schema: Schema, input: unknown): z.infer<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Refusal("invalid", `${issue?.path.join(".") || "The request"}: ${issue?.message ?? "is wrong"}`);
}
