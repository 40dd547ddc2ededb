/** A whole Mooring over real containers for one test file, a client for it, and what the engine says about its containers. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeLocalConfig } from "../../../scripts/containers/local-config.ts";
import { must, run } from "../../../scripts/containers/run-command.ts";
import { freshKey } from "../../../scripts/stack/fresh-key.ts";
import { ensureSecrets } from "../../../scripts/stack/secrets.ts";
import { until } from "../../support/until.ts";
import { type DevWorker, startDevWorker } from "./dev-worker.ts";
import { localImage } from "./real-containers.ts";

/** Its containers are found by this name. */
export const realWorker = "mooring-containers";
/** What is asked about waits for the same two cores. */
const lookEveryMs = 200;
/** Of what the Worker logged, when a test fails. */
const logTold = 4_000;
/** A busy machine with two cores. */
const patienceMs = 180_000;

export interface SessionView {
  readonly id: string;
  readonly status: string;
  readonly generation: number | null;
  readonly provider: string;
  readonly template: string;
  readonly failure: string | null;
  readonly jobs_apart: { readonly proven: boolean; readonly unproven: readonly string[] } | null;
  readonly teardown?: {
    readonly verified_absent_at: string | null;
    readonly evidence: string | null;
    readonly reason: string | null;
    readonly attempts: readonly unknown[];
  };
}

interface EventView {
  readonly type: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface JobView {
  readonly id: string;
  readonly state: string;
  readonly output_tail: string | null;
}

export class RealMooring {
  readonly #directory = mkdtempSync(join(tmpdir(), "mooring-real-"));
  readonly #sdkDockerfile: string | null;
  readonly #script: string | null;
  #vars: Readonly<Record<string, string>>;
  #dev: DevWorker | null = null;
  #key = "";

  /** `sdkDockerfile`: of the provider `sandbox-sdk`, which has no containers without it. `script`: instead of `main` in wrangler.toml. */
  constructor(
    vars: Readonly<Record<string, string>> = {},
    sdkDockerfile: string | null = null,
    script: string | null = null,
  ) {
    this.#vars = vars;
    this.#sdkDockerfile = sdkDockerfile;
    this.#script = script;
  }

  /** As a deploy does: everything stored stays, and what runs is found again by code with other vars. */
  async deploy(vars: Readonly<Record<string, string>>): Promise<void> {
    await this.kill();
    this.#vars = vars;
    await this.start();
  }

  async start(): Promise<void> {
    const file = join(this.#directory, "secrets");
    const { secrets } = ensureSecrets(file);
    const config = writeLocalConfig(realWorker, process.env["DOCKER_HOST"] ?? "", this.#sdkDockerfile);
    const vars = { CONTAINER_IMAGE: localImage, SANDBOX_PROVIDER: "cloudflare", ...this.#vars };
    const state = join(this.#directory, "state");
    this.#dev = await startDevWorker({
      config: config.path,
      worker: realWorker,
      vars,
      state,
      flags: [...(this.#script === null ? [] : [this.#script]), "--env-file", file],
    });
    this.#key = await freshKey({ tenant: "acme", scopes: [] }, secrets.KEY_SIGNING_SECRET);
  }

  /** As a power cut would: nothing of it has a chance to clean up. */
  async kill(): Promise<void> {
    await this.#dev?.leash.kill();
  }

  async stop(): Promise<void> {
    await this.#dev?.stop();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  async call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const reply = await fetch(`${this.#dev?.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await reply.json();
    if (reply.status >= 400) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(answer)}`);
    return answer as T;
  }

  get url(): string {
    return this.#dev?.url ?? "";
  }

  get key(): string {
    return this.#key;
  }

  /** The answer as it is. */
  raw(path: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { headers: { authorization: `Bearer ${this.#key}` } });
  }

  /** As root, past everything of Mooring. It may end the container that it runs in. */
  inContainer(session: string, script: string): void {
    run("docker", ["exec", containerOf(session), "sh", "-c", script]);
  }

  /** As root; what it wrote. */
  readInContainer(session: string, script: string): string {
    return must("docker", ["exec", containerOf(session), "sh", "-c", script]);
  }

  /** What the Worker has logged so far. */
  log(): string {
    return this.#dev?.log() ?? "";
  }

  async running(order: object = {}): Promise<string> {
    const { id } = await this.call<SessionView>("POST", "/v1/sessions", order);
    await this.becomes(id, "running");
    return id;
  }

  async becomes(id: string, status: string, withinMs = patienceMs): Promise<SessionView> {
    try {
      return await this.#becomes(id, status, withinMs);
    } catch (error) {
      const told = (await this.events(id)).map((event) => JSON.stringify(event)).join("\n");
      throw new Error(`${String(error)}\n${told}\n${this.log().slice(-logTold)}`, { cause: error });
    }
  }

  /** The first hundred of what was written down about it. */
  async events(id: string): Promise<readonly EventView[]> {
    return (await this.call<{ readonly data: readonly EventView[] }>("GET", `/v1/sessions/${id}/events?limit=100`))
      .data;
  }

  #becomes(id: string, status: string, withinMs: number): Promise<SessionView> {
    return until(
      `session ${id} is ${status}`,
      async () => {
        const view = await this.call<SessionView>("GET", `/v1/sessions/${id}`);
        if (view.status === status) return view;
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
        return null;
      },
      withinMs,
    );
  }

  /** What the command wrote, when it has succeeded. */
  async job(id: string, command: string): Promise<string> {
    const { id: job } = await this.call<JobView>("POST", `/v1/sessions/${id}/jobs`, { command });
    const ended = await until(
      `job ${job} ends`,
      async () => {
        const view = await this.call<JobView>("GET", `/v1/sessions/${id}/jobs/${job}`, undefined, { prefer: "wait=5" });
        return ["queued", "sent", "running"].includes(view.state) ? null : view;
      },
      patienceMs,
    );
    if (ended.state !== "succeeded") throw new Error(`The job ${ended.state}: ${ended.output_tail}`);
    return ended.output_tail ?? "";
  }

  async ended(id: string): Promise<SessionView> {
    await this.call("DELETE", `/v1/sessions/${id}`);
    return this.becomes(id, "terminated");
  }
}

/** Containers that run or are frozen, of all objects of that class. */
export function containersOfClass(name: string): readonly string[] {
  const filter = ["--filter", `name=^/workerd-${realWorker}-${name}`, ...runningOrFrozen];
  const names = must("docker", ["ps", "-a", ...filter, "--format", "{{.Names}}"]).split("\n");
  return names.filter((each) => each !== "" && !each.endsWith("-proxy"));
}

const runningOrFrozen = ["--filter", "status=running", "--filter", "status=paused"] as const;

/** Those of that session, by the engine's own word: each that its object started itself carries the session's id in its environment. */
export function containersOf(session: string): readonly string[] {
  return containersOfClass("").filter((name) => {
    const told = run("docker", ["inspect", name, "--format", "{{json .Config.Env}}"]);
    return told.ok && told.stdout.includes(session);
  });
}

export function containerOf(session: string): string {
  const [name, ...others] = containersOf(session);
  if (name === undefined || others.length > 0) throw new Error(`Session ${session} has not one container.`);
  return name;
}
