/**
 * wrangler.toml for real containers on one machine: as deployed, but without the container application of `sandbox-sdk`, whose image comes from
 * a registry, unless another Dockerfile is given for it, and with a Worker name of its own, by which its containers are found again in the engine.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withSdkApplication } from "../deploy/deploy-config.ts";
import { repository } from "../repository.ts";

export interface LocalConfig {
  readonly path: string;
  remove(): void;
}

/** `host`: of the engine, as in DOCKER_HOST. Beside wrangler.toml, because the paths in it are relative to its place. */
export function writeLocalConfig(worker: string, host: string, sdkDockerfile: string | null = null): LocalConfig {
  const path = join(repository, `.wrangler-${worker}.toml`);
  writeFileSync(
    path,
    localConfig(readFileSync(join(repository, "wrangler.toml"), "utf8"), worker, host, sdkDockerfile),
  );
  return { path, remove: () => rmSync(path, { force: true }) };
}

export function localConfig(toml: string, worker: string, host: string, sdkDockerfile: string | null = null): string {
  const image = (table: string) => table.replace(/^image = ".*"$/m, `image = "${sdkDockerfile}"`);
  return (
    withSdkApplication(toml, (tables) => (sdkDockerfile === null ? [] : tables.map(image)))
      .replace(/^name = ".*"$/m, `name = "${worker}"`)
      // The flag of wrangler alone would leave it with the default socket of the engine.
      .replace(/^enable_containers = false$/m, `enable_containers = true\ncontainer_engine = "${host}"`)
  );
}
