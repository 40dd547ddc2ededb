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

/** A sidecar is there before its container: one that is younger may still get it. */
const youngSidecarMs = 60_000;

/**
 * Containers that ended by themselves, and sidecars whose container is gone: the engine keeps both. A sandbox id serves one generation, so
 * nothing of it starts again.
 */
export function removeEnded(host: string, worker: string, youngMs = youngSidecarMs): readonly string[] {
  const env = { DOCKER_HOST: host };
  const listed = run(
    "docker",
    ["ps", "-a", "--filter", `name=^/workerd-${worker}-`, "--format", "{{.Names}} {{.State}} {{.CreatedAt}}"],
    { env },
  );
  if (!listed.ok) return [];
  const rows = listed.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" "))
    // `2026-11-30 04:05:06 +0000 UTC`: Date reads it without the zone's name.
    .map(([name = "", state = "", day, time, zone]) => ({
      name,
      state,
      createdAt: Date.parse(`${day} ${time} ${zone}`),
    }));
  const isEnded = ({ state }: { readonly state: string }): boolean => state === "exited" || state === "dead";
  const alive = new Set(rows.filter((row) => !isEnded(row)).map(({ name }) => name));
  const bereft = rows.filter(
    ({ name, createdAt }) =>
      name.endsWith(sidecarSuffix) &&
      !alive.has(name.slice(0, -sidecarSuffix.length)) &&
      // One whose age cannot be read stays.
      Date.now() - createdAt >= youngMs,
  );
  const all = [...new Set([...rows.filter(isEnded), ...bereft].map(({ name }) => name))];
  if (all.length > 0) run("docker", ["rm", "-f", ...all], { env });
  return all;
}

const sidecarSuffix = "-proxy";
