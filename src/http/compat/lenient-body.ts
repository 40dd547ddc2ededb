/**
 * Request bodies of the compatible APIs: JSON whatever the Content-Type says. A missing body has no fields, and the
 * schemas ignore unknown fields.
 */
import type { z } from "zod";
import type { Reply } from "../../protocol/problem.ts";
import { readJson } from "../request/body.ts";

export async function readLenient<S extends z.ZodType>(request: Request, schema: S): Promise<Reply<z.output<S>>> {
  const headers = new Headers(request.headers);
  headers.set("content-type", "application/json");
  return await readJson(new Request(request, { headers }), schema, { ranges: {}, empty: "no fields" });
}
