/** Every refusal of the host, with its HTTP status. */
import type { z } from "zod";
import type { hostErrorCodes } from "../../src/protocol/sandbox/host.ts";

export type RefusalCode = (typeof hostErrorCodes)[number];

export const refusalStatus: { readonly [Code in RefusalCode]: number } = {
  unauthorized: 401,
  scanning: 503,
  state_unusable: 503,
  refused_retired: 409,
  refused_late: 409,
  foreign_control_plane: 409,
  occupied: 409,
  not_found: 404,
  damaged: 409,
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

/** The reason of an error for an answer, without paths of this host. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === undefined ? error.message : syscall === undefined ? code : `${code} in ${syscall}`;
}

/** The parsed value. Throws the refusal `invalid`, which says what is wrong with the input. */
export function parsed<Schema extends z.ZodType>(schema: Schema, input: unknown): z.infer<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Refusal("invalid", `${issue?.path.join(".") || "The request"}: ${issue?.message ?? "is wrong"}`);
}
