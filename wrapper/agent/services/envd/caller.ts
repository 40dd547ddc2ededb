/** The Linux user that an E2B client names. There is one here, that of the jobs: E2B's `user` means it, and so does its own name. */
import { userInfo } from "node:os";
import { RpcFailure } from "./rpc.ts";

/** The user that E2B's templates have. */
const usualUser = "user";

export function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    // A number that only the launch gave out.
    return usualUser;
  }
}

export function isKnownUser(name: string): boolean {
  return name === "" || name === usualUser || name === ownName();
}

/** Throws for a user that is not the one of this sandbox. `authorization`: Basic, with the name and no password. */
export function checkCaller(authorization: string | undefined): void {
  const [, encoded] = /^Basic\s+([A-Za-z0-9+/=]*)$/i.exec(authorization ?? "") ?? [];
  if (encoded === undefined) return;
  const [name = ""] = Buffer.from(encoded, "base64").toString("utf8").split(":", 1);
  if (!isKnownUser(name)) throw new RpcFailure("unauthenticated", unknownUser(name));
}

export function unknownUser(name: string): string {
  return `invalid username: '${name.slice(0, 64)}'. Everything in this sandbox runs as ${ownName()}; leave the user out, or say 'user'.`;
}
