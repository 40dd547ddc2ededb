/**
 * Time to the first command on real containers of this machine, with the provider `cloudflare`, beside a Worker that does nothing but
 * start the same image and run the command in it (scripts/probe). Where no engine can be had the rows are left out, and one line says so.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeEnded, removeLeftovers } from "../../../scripts/containers/leftovers.ts";
import { writeLocalConfig } from "../../../scripts/containers/local-config.ts";
import { type LocalContainers, openLocalContainers } from "../../../scripts/containers/local-containers.ts";
import { repository } from "../../../scripts/repository.ts";
import { freshKey } from "../../../scripts/stack/fresh-key.ts";
import { ensureSecrets } from "../../../scripts/stack/secrets.ts";
import { startDevWorker } from "../../containers/support/dev-worker.ts";
import { BenchClient } from "../client.ts";
import type { Measure } from "../figure.ts";
import { firstCommandFigures, type Sizes } from "./first-command-modes.ts";
import { roomy } from "./roomy.ts";

const sizes: Readonly<Record<"full" | "small", Sizes>> = {
  full: { sequential: 20, staggered: 20, burst: 20 },
  small: { sequential: 2, staggered: 2, burst: 2 },
};
const [ourWorker, bareWorker] = ["mooring-bench", "mooring-probe"];
const argv = ["node", "-v"];

export const firstCommandContainers: Measure = {
  name: "first-command-containers",
  async run(say, size) {
    const opened = await openLocalContainers(say);
    if (opened.type === "missing") {
      say(`skipped: ${opened.why}`);
      return [];
    }
    const { containers } = opened;
    // wrangler, and what looks for leftovers, take the engine from here.
    const before = { ...process.env };
    Object.assign(process.env, containers.env);
    try {
      return await measured(containers, sizes[size], say);
    } finally {
      for (const name of Object.keys(containers.env)) delete process.env[name];
      Object.assign(process.env, before);
      for (const worker of [ourWorker, bareWorker])
        removeLeftovers(containers.host, worker, containers.isOurs ? "remove images" : "keep images");
      await containers.end();
    }
  },
};

async function measured({ host, image }: LocalContainers, counts: Sizes, say: (text: string) => void) {
  const directory = mkdtempSync(join(tmpdir(), "mooring-bench-containers-"));
  const secretsFile = join(directory, "secrets");
  const { secrets } = ensureSecrets(secretsFile);
  const config = writeLocalConfig(ourWorker, process.env["DOCKER_HOST"] ?? "");
  const probe = join(repository, "scripts/probe/wrangler.toml");
  const bareDev = await startDevWorker({ config: probe, worker: bareWorker, vars: { LOCAL_IMAGE: image } });
  try {
    const vars = { ...roomy, CONTAINER_IMAGE: image, SANDBOX_PROVIDER: "cloudflare" };
    const flags = ["--env-file", secretsFile];
    const dev = await startDevWorker({ config: config.path, worker: ourWorker, vars, flags });
    try {
      const key = await freshKey({ tenant: "acme", scopes: [] }, secrets.KEY_SIGNING_SECRET);
      const client = new BenchClient(dev.url, key);
      return await firstCommandFigures({
        ...{ id: "first-command-containers", where: "real containers", bar: 1.25, sizes: counts, say },
        against: "the same image started, and the command run in it, by a Worker without Mooring",
        ours: () => throughMooring(client),
        bare: () => withoutMooring(bareDev.url),
      });
    } finally {
      await dev.stop();
    }
  } finally {
    await bareDev.stop();
    for (const worker of [ourWorker, bareWorker]) removeEnded(host, worker, 0);
    config.remove();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function throughMooring(client: BenchClient): Promise<number> {
  const began = performance.now();
  const { id } = await client.create();
  try {
    const reply = await fetch(`${client.url}/v1/sessions/${id}/processes?output=true`, {
      ...{ method: "POST", headers: { ...client.headers, accept: "text/event-stream" } },
      body: JSON.stringify({ argv }),
    });
    const text = await reply.text();
    if (!text.includes('"exit_code":0')) throw new Error(`the command did not exit well: ${text.slice(0, 300)}`);
    return performance.now() - began;
  } finally {
    await client.call("DELETE", `/v1/sessions/${id}`);
    await client.receipt(id, 180_000);
  }
}

/** The container API alone: a start, and an exec, which waits for the container. */
async function withoutMooring(url: string): Promise<number> {
  const box = `box-${crypto.randomUUID()}`;
  const ask = async (call: string, argument: unknown = null): Promise<unknown> => {
    const reply = await fetch(`${url}/${box}/${call}`, { method: "POST", body: JSON.stringify(argument) });
    const answer: unknown = await reply.json();
    if (!reply.ok) throw new Error(JSON.stringify(answer));
    return answer;
  };
  const began = performance.now();
  try {
    await ask("start", [{ entrypoint: ["sleep", "600"] }]);
    const { code } = (await ask("exec", argv)) as { readonly code: number };
    if (code !== 0) throw new Error(`the command ended with ${code}`);
    return performance.now() - began;
  } finally {
    await ask("destroy");
  }
}
