/** Whether a container image can be built here, and what to say when not. */
import { spawnSync } from "node:child_process";

export function dockerIsThere(): boolean {
  const binary = process.env["WRANGLER_DOCKER_BIN"] ?? "docker";
  return spawnSync(binary, ["info"], { stdio: "ignore", timeout: 15_000 }).status === 0;
}
