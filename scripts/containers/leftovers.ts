/** What a run leaves in the engine: containers and sidecars of one Worker, and the images of container snapshots. */
import { must, run } from "./run-command.ts";

export interface Leftovers {
  readonly containers: readonly string[];
  readonly images: readonly string[];
}

/** workerd names a container `workerd-<worker>-<class>-<object>`, its sidecar the same with `-proxy`. */
export function leftoversOf(host: string, worker: string): Leftovers {
  const lines = (args: readonly string[]): readonly string[] =>
    must("docker", args, { env: { DOCKER_HOST: host } })
      .split("\n")
      .filter((line) => line !== "");
  return {
    containers: lines(["ps", "-a", "--filter", `name=^/workerd-${worker}-`, "--format", "{{.Names}}"]),
    images: lines(["images", "--filter", "reference=workerd-container-snap-*", "--format", "{{.Repository}}:{{.Tag}}"]),
  };
}

/** `images`: snapshot images do not say whose they are, so they are removed only from an engine that is ours. */
export function removeLeftovers(host: string, worker: string, images: "remove images" | "keep images"): Leftovers {
  const found = leftoversOf(host, worker);
  const env = { DOCKER_HOST: host };
  if (found.containers.length > 0) run("docker", ["rm", "-f", ...found.containers], { env });
  if (images === "remove images" && found.images.length > 0) run("docker", ["rmi", "-f", ...found.images], { env });
  return found;
}

/**
 * Containers that ended by themselves, and sidecars whose container is gone: the engine keeps both. A sandbox id serves one generation, so
 * nothing of it starts again.
 */
export function removeEnded(host: string, worker: string): readonly string[] {
  const env = { DOCKER_HOST: host };
  const listed = run(
    "docker",
    ["ps", "-a", "--filter", `name=^/workerd-${worker}-`, "--format", "{{.Names}} {{.State}}"],
    {
      env,
    },
  );
  if (!listed.ok) return [];
  const states = new Map(
    listed.stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(" ") as [string, string]),
  );
  const ended = [...states].filter(([, state]) => state === "exited" || state === "dead").map(([name]) => name);
  const bereft = ended.map((name) => `${name}-proxy`).filter((name) => states.has(name));
  const all = [...ended, ...bereft];
  if (all.length > 0) run("docker", ["rm", "-f", ...all], { env });
  return all;
}
