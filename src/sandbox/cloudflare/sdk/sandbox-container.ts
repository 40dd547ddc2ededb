/**
 * The Durable Object of one container: the SDK's `Sandbox` with the fence in front of everything that starts it. A thin
 * shell, because a test of the platform's own kind cannot construct it. What the shell adds is tested over the SDK's
 * real class in test/unit/sandbox/sandbox-container.test.ts; what it does is in fence.ts.
 *
 * The SDK is configured through the environment that it reads (its setters would write rows): transport `rpc`, start
 * times that end inside our launch bound. No default session is ever made, because no call names a session. keepAlive
 * is refused: it survives `destroy()`, and a container that stays awake by itself is what Mooring exists to prevent.
 */
import { Sandbox } from "@cloudflare/sandbox";
import type { Clock, Ids, Logger } from "../../../runtime/clock-ids-logger.ts";
import { forwardMethods, type Implementing } from "../../../storage/forward-methods.ts";
import { untouchedForMs } from "../../../protocol/sandbox/stale-workspace.ts";
import type { LaunchOrder } from "../../agent-sandbox.ts";
import type { SnapshotBucket } from "../platform/container-platform.ts";
import { Fence } from "../fence/fence.ts";
import { fenceAnswers, type FromFence } from "../fence/fence-answers.ts";
import { FenceRecords } from "../fence/fence-records.ts";
import { freshDisk } from "./fresh-disk.ts";
import { imageUser } from "./job-user.ts";
import type { SandboxObjectApi } from "../object-api.ts";
import { SandboxPlatform, type SdkCalls } from "./sandbox-platform.ts";
import { imagePaths, Toolbox } from "../platform/toolbox-calls.ts";

/** What the composition root hands in: everything but what belongs to the object itself. */
export interface ContainerWiring {
  readonly sleepAfterMs: number;
  readonly bucket: SnapshotBucket | null;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
}

/** The SDK takes no less than 5 s for an instance and 10 s for its port; a launch gives both at most 35 s (launching.ts). */
const sdkEnvironment = {
  SANDBOX_TRANSPORT: "rpc",
  SANDBOX_INSTANCE_TIMEOUT_MS: "15000",
  SANDBOX_PORT_TIMEOUT_MS: "20000",
} as const;

/**
 * Above the user ids that distributions give out. The jobs of a shared container's member run as this number plus the
 * number of its seat.
 */
const firstJobUser = 20_000;

export function sandboxContainer<Env extends object>(wire: (env: Env) => ContainerWiring) {
  class SandboxContainer extends Sandbox<Env> {
    static {
      forwardMethods<SandboxContainer, FromFence, typeof fenceAnswers>(this.prototype, fenceAnswers, (self) => ({
        fence: self.#fence,
      }));
    }

    readonly #fence: Fence;

    constructor(ctx: DurableObjectState<object>, env: Env) {
      super(ctx, { ...env, ...sdkEnvironment });
      const { clock, ids, logger, sleepAfterMs, bucket } = wire(env);
      this.sleepAfter = Math.ceil(sleepAfterMs / 1_000);
      const calls: SdkCalls = {
        start: (options) => super.startAndWaitForPorts(options),
        destroy: () => super.destroy(),
        fetch: (request) => super.fetch(request),
      };
      const platform = new SandboxPlatform(ctx, this, calls, bucket);
      platform.guard(() => this.#fence.refuseToStart());
      platform.connectClient();
      this.#fence = new Fence({
        platform,
        records: new FenceRecords(platform.storage, () => ids.id()),
        toolbox: new Toolbox(platform, imagePaths, clock),
        clock,
        ids,
        logger,
        terms: {
          sleepAfterMs,
          paths: imagePaths,
          address: "0.0.0.0",
          endContainer: "kill -TERM 1",
          firstJobUser,
          loneJobUser: imageUser,
          freshDisk,
          untouchedForMs,
        },
      });
    }

    override async start(...args: Parameters<Sandbox<Env>["start"]>): Promise<void> {
      if (this.ctx.container?.running !== true) this.#fence.refuseToStart();
      await super.start(...args);
    }

    /** Every other path on which the SDK starts a container ends here. */
    override async startAndWaitForPorts(...args: never[]): Promise<void> {
      if (this.ctx.container?.running !== true) this.#fence.refuseToStart();
      await super.startAndWaitForPorts(...args);
    }

    override async setKeepAlive(keepAlive: boolean): Promise<void> {
      if (keepAlive) throw new Error("keepAlive is refused: only a renewed lease keeps a container running.");
    }

    /** What the SDK takes for activity is wrong both ways, so the fence's stored deadline decides. */
    override async onActivityExpired(): Promise<void> {
      await this.#fence.endIfForgotten();
    }

    override async alarm(...args: Parameters<Sandbox<Env>["alarm"]>): Promise<void> {
      if ((await this.#fence.beforeAlarm()) === "handled") return;
      await super.alarm(...args);
      await this.#fence.afterAlarm();
    }

    /**
     * The SDK's own proxy would start a container and give root in it to any caller, so only the SDK's own client
     * reaches it.
     */
    override fetch(request: Request): Promise<Response> {
      return this.#fence.fetch(request);
    }
    launch(order: LaunchOrder, timeoutMs: number) {
      return this.#fence.launch(order, timeoutMs);
    }
  }
  return SandboxContainer as unknown as Implementing<typeof SandboxContainer, SandboxObjectApi>;
}
