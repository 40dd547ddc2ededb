/** Reads the body of a reply into a shape of the protocol, or says in words what is wrong with it. */
import { failed, succeeded, type ProviderResult } from "../domain/state/failure.ts";

/** What a zod schema is to its user. */
export interface Shape<T> {
  safeParse(input: unknown):
    | { readonly success: true; readonly data: T }
    | {
        readonly success: false;
        readonly error: {
          readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
        };
      };
}

/** undefined when it is not JSON: no shape of the protocol accepts that. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function shaped<T>(shape: Shape<T>, body: unknown, effect: "none" | "unknown"): ProviderResult<T> {
  const parsed = shape.safeParse(body);
  if (parsed.success) return succeeded(parsed.data);
  const issue = parsed.error.issues[0];
  const where = issue?.path.map(String).join(".") || "body";
  return failed(
    "malformed",
    `The reply does not follow Mooring's protocol, so it was not used. ${where}: ${issue?.message ?? "wrong"}`,
    effect,
  );
}
