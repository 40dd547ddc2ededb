/** The secrets of a deployment: what a new one is, and what rotating one does. */
import { randomBytes } from "node:crypto";

/** Without one of the first three, routes refuse; without the last, receipts wait unsigned. */
export const deployedSecrets = [
  "ADMIN_TOKEN",
  "KEY_SIGNING_SECRET",
  "ENV_ENCRYPTION_KEY",
  "RECEIPT_SIGNING_KEY",
] as const;
export type DeployedSecret = (typeof deployedSecrets)[number];

/** ENV_ENCRYPTION_KEY is an AES-256 key in base64; the others are only ever compared or hashed. */
export function freshSecret(name: DeployedSecret | "LOCAL_HOST_TOKEN"): string {
  return randomBytes(32).toString(name === "ENV_ENCRYPTION_KEY" ? "base64" : "hex");
}

/** The present value goes to the head of the list of those that are still accepted. */
export function rotated(
  name: DeployedSecret,
  secrets: ReadonlyMap<string, string>,
): { readonly current: string; readonly previous: string } {
  const before = [secrets.get(name) ?? "", ...(secrets.get(`${name}_PREVIOUS`) ?? "").split(",")];
  return {
    current: freshSecret(name),
    previous: before
      .map((each) => each.trim())
      .filter(Boolean)
      .join(","),
  };
}
