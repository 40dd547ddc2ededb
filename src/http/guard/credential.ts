/** Finds the credential of a request. A text that cannot be one of ours is ignored and not even hashed. */
import { limits } from "../../protocol/primitives.ts";

export function bearer(request: Request): string | null {
  const header = request.headers.get("authorization") ?? "";
  const [, credential] = /^Bearer ([\x21-\x7e]+)$/i.exec(header) ?? [];
  return credential === undefined ? null : bounded(credential);
}

export function headerCredential(request: Request, name: string): string | null {
  const header = request.headers.get(name) ?? "";
  return /^[\x21-\x7e]+$/.test(header) ? bounded(header) : null;
}

function bounded(credential: string): string | null {
  return credential.length > limits.credential ? null : credential;
}
