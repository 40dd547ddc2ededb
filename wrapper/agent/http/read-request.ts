/** Reads the body and the query of a request to the wrapper. */
import type { z } from "zod";

/** A request is answered in the time that an idle connection has. */
export const maxWaitMs = 30_000;
/** A string says what is wrong. */
export function parse<T>(schema: z.ZodType<T>, body: Buffer): T | string {
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch {
    return "The body is not JSON.";
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  return parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
}

export function whole(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
