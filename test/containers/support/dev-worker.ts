/** `wrangler dev` with containers for one test file, on a free port; gone afterwards with its containers and sidecars. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeLeftovers } from "../../../scripts/containers/leftovers.ts";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import { type Leash, spawnLeashed } from "../../../scripts/stack/leash.ts";

const readyMs = 150_000;

export interface DevWorkerOrder {
  /** wrangler.toml or a JSON of it. */
  readonly config: string;
  /** Its `name`: containers of the engine are found by it. */
  readonly worker: string;
  readonly vars: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Where the state of the Worker is kept between two starts; absent: gone with it. */
  readonly state?: string;
}

export interface DevWorker {
  readonly url: string;
  readonly leash: Leash;
  readonly log: () => string;
  stop(): Promise<void>;
}

export async function startDevWorker(order: DevWorkerOrder): Promise<DevWorker> {
  const directory = mkdtempSync(join(tmpdir(), "mooring-dev-"));
  let found = (_url: string): void => {};
  const ready = new Promise<string>((resolve) => (found = resolve));
  const lines: string[] = [];
  const leash = spawnLeashed({
    name: "wrangler dev",
    command: [
      "wrangler",
      ...["dev", "--config", order.config, "--enable-containers", "--ip", "127.0.0.1"],
      ...["--port", "0", "--inspector-port", "0", "--persist-to", order.state ?? join(directory, "state")],
      "--show-interactive-dev-session=false",
      ...(order.flags ?? []),
      ...Object.entries(order.vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    ],
    env: toolEnvironment({
      WRANGLER_REGISTRY_PATH: join(directory, "registry"),
      WRANGLER_LOG_PATH: join(directory, "debug.log"),
      WRANGLER_SEND_METRICS: "false",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      CI: "true",
      NO_COLOR: "1",
    }),
    cwd: repository,
    logFile: join(directory, "wrangler.log"),
    onLine: (line) => {
      lines.push(line);
      const url = /Ready on (http:\/\/\S+)/.exec(line)?.[1];
      if (url !== undefined) found(url);
    },
    graceSeconds: 10,
  });
  const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), readyMs).unref());
  const url = await Promise.race([ready, leash.ended.then(() => null), late]);
  const log = (): string => [...lines, leash.said()].join("\n");
  const stop = async (): Promise<void> => {
    await leash.stop();
    removeLeftovers(process.env["DOCKER_HOST"] ?? "", order.worker, "keep images");
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  if (url === null) {
    const said = log();
    await stop();
    throw new Error(`wrangler dev did not become ready:\n${said}`);
  }
  return { url, leash, log, stop };
}
