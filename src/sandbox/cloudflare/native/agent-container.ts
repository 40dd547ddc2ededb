/**
 * The Durable Object of one sandbox and its container, under `scheduling_policy = "durable_object"`. A thin shell:
 * everything it does for Mooring is in the fence.
 *
 * The object may sleep while its container runs. Accepted renewals move a stored instant, and that instant keeps the
 * container: it is set again as the platform's inactivity hold whenever this object is built, and the object's own
 * alarm enforces it. So a look never prolongs a container.
 */
import { DurableObject } from "cloudflare:workers";
import { untouchedForMs } from "../../../protocol/sandbox/stale-workspace.ts";
import { agentPaths } from "../../../protocol/sandbox/agent-paths.ts";
import type { Clock, Ids, Logger } from "../../../runtime/clock-ids-logger.ts";
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { DeniedHost } from "../../../domain/state/network.ts";
import { forwardMethods, type Implementing } from "../../../storage/forward-methods.ts";
import type { Seals } from "../../../storage/seals.ts";
import { ContainerNetwork } from "../network/container-network.ts";
import type { NetworkGateProps } from "../network/network-gate.ts";
import type { LaunchOrder, NetworkRules } from "../../agent-sandbox.ts";
import { type FenceStorage, noContainer, type SnapshotBucket } from "../platform/container-platform.ts";
import { durableFenceStorage } from "../platform/durable-fence-storage.ts";
import { Fence } from "../fence/fence.ts";
import { fenceAnswers, type FromFence } from "../fence/fence-answers.ts";
import { FenceRecords } from "../fence/fence-records.ts";
import type { NetworkChanged, NetworkObjectApi, ObjectAim, SandboxObjectApi } from "../object-api.ts";
import { type ContainerPaths, Toolbox } from "../platform/toolbox-calls.ts";
import { type AgentBundle, readAgentBundle } from "./agent-bundle.ts";
import { NativePlatform, type NativeTerms } from "./native-platform.ts";

export interface AgentContainerWiring {
  readonly sleepAfterMs: number;
  readonly bucket: SnapshotBucket | null;
  readonly assets: Pick<Fetcher, "fetch">;
  readonly terms: NativeTerms;
  readonly seals: Seals;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
}

const paths: ContainerPaths = {
  node: "node",
  wrapper: agentPaths.wrapper,
  toolbox: agentPaths.toolbox,
  workspace: "/workspace",
  workspaces: "/workspaces",
  state: "/var/lib/mooring",
};

/**
 * The user of the jobs. If the image has a user of this name, the agent takes its number; otherwise it creates the user
 * (wrapper/agent/user/agent-user.ts).
 */
const agentUser = { uid: 1_000, gid: 1_000, home_dir: "/home/user" };
/**
 * The next alarm after one that could not end a container. Also the first alarm for a container that nothing stored
 * explains.
 */
const againMs = 10_000;

/**
 * Loaded once per isolate: it changes only with the Worker. A value and not a promise, because a promise belongs to the
 * request that began it.
 */
let known: AgentBundle | null = null;

/**
 * The network gate is an entrypoint of this Worker, which src/index.ts exports under this name; null: this build
 * exports none.
 */
function gateOf(ctx: DurableObjectState<object>): ((props: NetworkGateProps) => Fetcher) | null {
  const { exports } = ctx as { readonly exports?: Readonly<Record<string, unknown>> };
  const gate = exports?.["NetworkGate"];
  return typeof gate === "function" ? (props) => (gate as (options: object) => Fetcher)({ props }) : null;
}

export function agentContainer<Env extends object>(wire: (env: Env) => AgentContainerWiring) {
  class AgentContainer extends DurableObject<Env> implements NetworkObjectApi {
    static {
      forwardMethods<AgentContainer, FromFence, typeof fenceAnswers>(this.prototype, fenceAnswers, (self) => ({
        fence: self.#fence,
      }));
    }

    readonly #fence: Fence;
    readonly #records: FenceRecords;
    readonly #platform: NativePlatform;
    readonly #storage: FenceStorage;
    readonly #wiring: AgentContainerWiring;
    readonly #network: ContainerNetwork;
    #rulesAreMissing = false;

    constructor(ctx: DurableObjectState<object>, env: Env) {
      super(ctx, env);
      const wiring = wire(env);
      const { clock, ids, logger, sleepAfterMs, bucket, assets, terms, seals } = wiring;
      const storage = durableFenceStorage(ctx.storage);
      if (ctx.container === undefined) throw noContainer("AgentContainer");
      const network = new ContainerNetwork({
        objectId: ctx.id.toString(),
        container: ctx.container,
        storage,
        seals,
        gate: gateOf(ctx),
        logger,
      });
      const platform = new NativePlatform({
        ctx,
        network,
        storage,
        bucket,
        terms,
        bundle: async () => (known ??= await readAgentBundle(assets)),
        refuseToStart: () => this.#fence.refuseToStart(),
        clock,
      });
      this.#wiring = wiring;
      this.#network = network;
      this.#storage = storage;
      this.#platform = platform;
      this.#records = new FenceRecords(storage, () => ids.id());
      this.#fence = new Fence({
        platform,
        records: this.#records,
        toolbox: new Toolbox(platform, paths, clock),
        clock,
        ids,
        logger,
        terms: {
          sleepAfterMs,
          paths,
          address: "0.0.0.0",
          endContainer: "kill -TERM 1",
          firstJobUser: null,
          loneJobUser: agentUser,
          freshDisk: null,
          untouchedForMs,
        },
      });
      if (platform.running()) {
        platform.renewActivity(this.#records.awakeUntil ?? clock.now() + againMs);
        // The platform forgets the rules when this object is built anew. No request of the container is let through
        // before they are registered.
        void ctx.blockConcurrencyWhile(() => this.#register());
      }
    }

    /** Never rejects. */
    async #register(): Promise<void> {
      try {
        await this.#network.register();
        this.#rulesAreMissing = false;
      } catch (error) {
        this.#unruled(error);
      }
    }

    /**
     * The alarm tries again. Until it succeeds, a container that was started without Internet reaches nothing, and one
     * that was started with Internet reaches everything.
     */
    #unruled(error: unknown): void {
      this.#rulesAreMissing = true;
      const why = error instanceof Error ? error.message : String(error);
      this.#wiring.logger.error("the rules for the network could not be registered again", { why });
    }

    /** Catches everything, and arms the next alarm before anything that can fail. */
    override async alarm(): Promise<void> {
      const { clock, logger } = this.#wiring;
      try {
        if (this.#platform.running()) await this.#storage.setAlarm(clock.now() + againMs);
        if (this.#rulesAreMissing && this.#platform.running()) await this.#register();
        if ((await this.#fence.beforeAlarm()) === "handled") return;
        await this.#fence.afterAlarm();
        const { awakeUntil } = this.#records;
        if (this.#platform.running()) this.#platform.renewActivity(Math.max(awakeUntil ?? 0, clock.now() + againMs));
      } catch (error) {
        logger.error("the alarm of a container failed", {
          error: error instanceof Error ? error.message : String(error),
        });
        await this.#storage.setAlarm(clock.now() + againMs);
      }
    }

    override fetch(request: Request): Promise<Response> {
      return this.#fence.fetch(request);
    }
    async launch(order: LaunchOrder, timeoutMs: number) {
      try {
        if (!this.#platform.running()) await this.#network.keep(order.network);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return failed(
          "unavailable",
          `The network rules of the sandbox could not be stored, so nothing was started. ${why}`,
          "none",
        );
      }
      return this.#fence.launch({ ...order, env: { ...this.#network.environment, ...order.env } }, timeoutMs);
    }
    async changeNetwork(aim: ObjectAim, rules: NetworkRules): Promise<ProviderResult<NetworkChanged>> {
      const { armed } = this.#records.sandbox(aim.sandboxId);
      if (armed?.generation !== aim.generation)
        return failed(
          "not_found",
          "The sandbox does not run, so there was nothing to change the network rules of.",
          "none",
        );
      try {
        return succeeded({ enforced: await this.#network.change(rules) });
      } catch (error) {
        return failed("unavailable", error instanceof Error ? error.message : String(error), "unknown");
      }
    }
    async denied(): Promise<ProviderResult<readonly DeniedHost[]>> {
      return succeeded(this.#network.takeDenied());
    }
    async noteDenied(host: string): Promise<void> {
      this.#network.noteDenied(host);
    }
  }
  return AgentContainer as unknown as Implementing<typeof AgentContainer, SandboxObjectApi>;
}
