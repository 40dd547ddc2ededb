/** Everything that `wrangler dev` needs to run real containers on this machine: engine, base image, network sidecar, command line. */
import { join } from "node:path";
import { baseImage } from "./base-image.ts";
import { openEngine } from "./engine.ts";
import { sidecarImage } from "./sidecar-image.ts";
import { openStartQueue } from "./start-queue.ts";

export interface LocalContainers {
  /** Of the engine itself, as in DOCKER_HOST. */
  readonly host: string;
  readonly isOurs: boolean;
  /** For `start({image})`: a name that only this machine's engine knows. */
  readonly image: string;
  /** The environment of wrangler. Its DOCKER_HOST is the same engine with starts in a queue. */
  readonly env: Readonly<Record<"DOCKER_HOST" | "WRANGLER_DOCKER_BIN" | "MINIFLARE_CONTAINER_EGRESS_IMAGE", string>>;
  end(): Promise<void>;
}

export type LocalContainersOutcome =
  { readonly type: "ready"; readonly containers: LocalContainers } | { readonly type: "missing"; readonly why: string };

export async function openLocalContainers(say: (line: string) => void): Promise<LocalContainersOutcome> {
  const opened = await openEngine(say);
  if (opened.type === "missing") return opened;
  const { engine } = opened;
  try {
    const image = baseImage(engine.host, say);
    const sidecar = sidecarImage(engine.host, image, say);
    const queue = await openStartQueue(engine.host);
    const env = {
      DOCKER_HOST: queue?.host ?? engine.host,
      WRANGLER_DOCKER_BIN: join(import.meta.dirname, "docker-shim.sh"),
      MINIFLARE_CONTAINER_EGRESS_IMAGE: sidecar,
    };
    const { host, isOurs } = engine;
    const end = async (): Promise<void> => {
      await queue?.close();
      await engine.end();
    };
    return { type: "ready", containers: { host, isOurs, image, env, end } };
  } catch (error) {
    await engine.end();
    const why = error instanceof Error ? error.message : String(error);
    return { type: "missing", why: `an image for local containers could not be made (${why})` };
  }
}
