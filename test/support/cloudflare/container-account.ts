/**
 * An account whose objects start their own containers, as the provider `cloudflare` has it: the real objects over the fake of the container
 * API, reached as object RPC reaches them, with real processes in the containers. An object may be built anew at any time.
 */
import { agentContainer } from "../../../src/sandbox/cloudflare/native/agent-container.ts";
import type { SandboxObjectApi } from "../../../src/sandbox/cloudflare/object-api.ts";
import { instantSeals } from "../instant-seals.ts";
import { systemClock, systemIds } from "../system-runtime.ts";
import { readFileSync } from "node:fs";
import { BoxedProcesses } from "./boxed-processes.ts";
import { FakeContainer, type PlatformMode } from "./fake-container.ts";
import { objectContext } from "./object-context.ts";
import { ObjectRpc } from "./object-rpc.ts";
import { programs } from "./programs.ts";
import { StandInBucket } from "./stand-in-bucket.ts";

const sleepAfterMs = 600_000;
const longestHoldMs = 6 * 3_600_000;
const quiet = { info: () => {}, warn: () => {}, error: () => {} };

interface Known {
  readonly container: FakeContainer;
  readonly rows: Map<string, unknown>;
  object: SandboxObjectApi;
}

export class ContainerAccount {
  readonly bucket = new StandInBucket();
  readonly rpc = new ObjectRpc(systemClock, (name) => this.#known(name).object);
  readonly #mode: PlatformMode;
  readonly #objects = new Map<string, Known>();
  readonly #class = agentContainer<object>(() => ({
    sleepAfterMs,
    bucket: this.bucket,
    assets: { fetch: async () => new Response(agentBundle()) },
    terms: {
      templates: { base: { image: "an image", snapshot: null, instance: null } },
      orderWithinSeconds: 60,
      longestHoldMs,
    },
    seals: instantSeals(),
    clock: systemClock,
    ids: systemIds,
    logger: quiet,
  }));

  constructor(mode: PlatformMode) {
    this.#mode = mode;
    // Built once for each test process, and not within the time of the first launch.
    agentBundle();
  }

  container(name: string): FakeContainer {
    return this.#known(name).container;
  }

  /** All that were ever called by name. */
  get containers(): readonly FakeContainer[] {
    return [...this.#objects.values()].map(({ container }) => container);
  }

  /** As after an eviction, a deploy or a crash: only what is stored is left, and the container. */
  evict(): void {
    for (const [name, known] of this.#objects) this.#buildAnew(name, known);
  }

  async close(): Promise<void> {
    for (const { container } of this.#objects.values()) await container.inside?.end();
  }

  #known(name: string): Known {
    const known = this.#objects.get(name);
    if (known !== undefined) return known;
    const container = new FakeContainer(
      { local: this.#mode === "local" },
      (options, mode) => new BoxedProcesses(options, mode),
    );
    const rows = new Map<string, unknown>();
    const made: Known = { container, rows, object: this.#construct(name, container, rows) };
    this.#objects.set(name, made);
    return made;
  }

  #buildAnew(name: string, known: Known): void {
    known.container.seenAgain();
    known.object = this.#construct(name, known.container, known.rows);
  }

  #construct(name: string, container: FakeContainer, rows: Map<string, unknown>): SandboxObjectApi {
    const onAbort = (): void => {
      const known = this.#objects.get(name);
      if (known !== undefined) this.#buildAnew(name, known);
    };
    const context = objectContext({ name, container, rows, alarms: [], onAbort });
    return new this.#class(context as never, {});
  }
}

let bundle: string | null = null;

/** As scripts/builds/build-agent.ts writes it. */
function agentBundle(): string {
  const { wrapper, toolbox } = programs();
  bundle ??= JSON.stringify({ wrapper: readFileSync(wrapper, "utf8"), toolbox: readFileSync(toolbox, "utf8") });
  return bundle;
}
