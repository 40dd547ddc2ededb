/**
 * The fence of one container, shared or one sandbox's own: everything that the Sandbox object does for Mooring, over a
 * `ContainerPlatform`.
 *
 * It owns what may start (start-gate.ts), what was armed and retired (fence-records.ts), and until when the container
 * may stay awake. It decides nothing about sessions. Nothing starts here unless it is armed and not retired; looks wake
 * and extend nothing. Whatever breaks inside becomes an answer with effect `unknown`, never an exception, because an
 * exception loses its class on the way out.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type {
  Capacity,
  Launched,
  LaunchOrder,
  SandboxLocation,
  Reclaimed,
  Retired,
  SandboxLogs,
  SandboxResources,
  Stopped,
} from "../../agent-sandbox.ts";
import { Ending } from "./ending.ts";
import { type FenceDependencies, tombstoneMs } from "./fence-dependencies.ts";
import { Forwarding, refusal } from "./forwarding.ts";
import { Launching } from "./launching.ts";
import { deadlineIn } from "../platform/limited-call.ts";
import { Looking } from "./looking.ts";
import type { ObjectAim, ObjectLook, SandboxObjectApi, WrapperCall } from "../object-api.ts";
import { Reports } from "./reports.ts";
import { DiskSpace } from "../seats/disk-space.ts";
import { Saving } from "../files/saving.ts";
import { SharedContainer } from "../seats/shared-container.ts";
import { startRefused, StartGate } from "./start-gate.ts";
import { Vacating } from "../seats/vacating.ts";

/** The platform's own loop looks this often, so its end of an idle container comes this late at most. */
const deadManMs = 10_000;

export class Fence implements SandboxObjectApi {
  readonly #dependencies: FenceDependencies;
  readonly #gate: StartGate;
  readonly #looking: Looking;
  readonly #ending: Ending;
  readonly #saving: Saving;
  readonly #launching: Launching;
  readonly #forwarding: Forwarding;
  readonly #shared: SharedContainer;
  readonly #vacating: Vacating;
  readonly #diskSpace: DiskSpace;
  readonly #reports: Reports;
  /** The tables were deleted with the rows. Only the next incarnation of the object makes them again. */
  #wiped = false;

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
    this.#gate = new StartGate(dependencies.records, dependencies.clock);
    this.#looking = new Looking(dependencies);
    this.#ending = new Ending(dependencies, this.#looking);
    this.#saving = new Saving(dependencies);
    const vacating = new Vacating(dependencies, this.#looking);
    this.#vacating = vacating;
    this.#diskSpace = new DiskSpace(dependencies, vacating);
    this.#reports = new Reports(dependencies);
    const collaborators = {
      ending: this.#ending,
      saving: this.#saving,
      diskSpace: this.#diskSpace,
      vacating,
      reports: this.#reports,
    };
    this.#launching = new Launching(dependencies, this.#gate, collaborators);
    this.#shared = new SharedContainer(dependencies, this.#launching, this.#ending, this.#looking);
    this.#forwarding = new Forwarding(dependencies);
  }

  /** The object calls it on every path that starts a container. Throws an error that the SDK passes on. */
  refuseToStart(): void {
    const why = this.#wiped ? `${startRefused}: all that is stored of it was erased.` : this.#gate.refusal();
    if (why !== null) throw new Error(why);
  }

  launch(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>> {
    return this.#answer("launch", async () => {
      if (this.#wiped)
        return failed(
          "unavailable",
          "The container's object was erased a moment ago and is about to be built anew, so nothing was started.",
          "none",
        );
      return this.#launching.launch(order, timeoutMs);
    });
  }

  launchMember(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>> {
    return this.launch(order, timeoutMs);
  }

  retire(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<Retired>> {
    return this.#answer("retire", async () => {
      const { records, platform } = this.#dependencies;
      records.retire(aim.sandboxId, aim.generation);
      await records.sync();
      // From here on no launch begins. One that is under way may just be starting its process.
      if (!(await this.#launching.settled(timeoutMs, aim.sandboxId))) {
        return failed(
          "timed_out",
          "The sandbox is retired, but a launch of it is still under way, so something may still start.",
          "unknown",
        );
      }
      return succeeded({ host: platform.objectId, boot: records.boot });
    });
  }

  look(aim: ObjectAim, timeoutMs: number): Promise<ObjectLook> {
    return this.#seen(() => this.#looking.look(aim, timeoutMs));
  }

  lookAtContainer(timeoutMs: number): Promise<ObjectLook> {
    return this.#seen(() => this.#looking.lookAtContainer(timeoutMs));
  }

  stopInstance(aim: ObjectAim, graceMs: number, timeoutMs: number): Promise<ProviderResult<Stopped>> {
    return this.#answer("stop", () => this.#ending.stop(aim, graceMs, timeoutMs));
  }

  erase(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<null>> {
    return this.#answer("erase", async () => {
      const { records, platform, clock } = this.#dependencies;
      const { retiredThrough } = records.sandbox(aim.sandboxId);
      if (retiredThrough === null || retiredThrough < aim.generation)
        return failed(
          "unavailable",
          "The sandbox is not retired, so its records are kept: a launch may still come.",
          "none",
        );
      if (aim.container !== undefined) return this.#eraseMember(aim, timeoutMs);
      if (platform.running())
        return failed(
          "unavailable",
          "The container still runs, so its records are kept. It has to be stopped first.",
          "none",
        );
      if (records.erasedAt === null) records.erase(clock.now());
      await platform.storage.setAlarm((records.erasedAt ?? clock.now()) + tombstoneMs);
      return succeeded(null);
    });
  }

  retireContainer(timeoutMs: number): Promise<ProviderResult<Retired>> {
    return this.#answer("retire the container", () => this.#shared.retire(timeoutMs));
  }

  destroyContainer(timeoutMs: number): Promise<ProviderResult<null>> {
    return this.#answer("destroy the container", () => this.#shared.destroy(timeoutMs));
  }

  inspectCapacity(location: SandboxLocation, timeoutMs: number): Promise<ProviderResult<Capacity>> {
    return this.#answer("measure space", () => this.#diskSpace.inspect(location, timeoutMs));
  }

  reclaim(location: SandboxLocation, timeoutMs: number): Promise<ProviderResult<Reclaimed>> {
    return this.#answer("reclaim", () => this.#diskSpace.reclaim(location, this.#launching, timeoutMs));
  }

  callWrapper(call: WrapperCall, timeoutMs: number): Promise<ProviderResult<Response>> {
    return this.#answer("call", () => this.#forwarding.call(call, timeoutMs));
  }

  async fetch(request: Request): Promise<Response> {
    try {
      return await this.#forwarding.traffic(request);
    } catch (error) {
      this.#dependencies.logger.warn("traffic failed", { error: words(error) });
      return refusal("unreachable", `The agent did not answer (${words(error)}).`);
    }
  }

  save(aim: ObjectAim, snapshotId: string, timeoutMs: number): Promise<ProviderResult<{ readonly bytes: number }>> {
    return this.#answer("save", () => this.#saving.save(aim, snapshotId, timeoutMs));
  }

  readLogs(aim: ObjectAim, tailBytes: number, timeoutMs: number): Promise<ProviderResult<SandboxLogs>> {
    return this.#answer("logs", () => this.#reports.logs(aim, tailBytes, timeoutMs));
  }

  readResources(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<SandboxResources>> {
    return this.#answer("resources", () => this.#reports.resources(aim, timeoutMs));
  }

  /**
   * Runs first in the object's alarm. `handled`: the SDK's own alarm must not run, because everything is erased or
   * about to be. A container that nobody renewed is ended here, whatever the SDK believes: a hung call of the SDK
   * counts as activity there.
   */
  async beforeAlarm(): Promise<"handled" | "go on"> {
    const { records, platform, clock } = this.#dependencies;
    const { erasedAt } = records;
    if (erasedAt === null) {
      await this.endIfForgotten();
      return this.#forget();
    }
    if (platform.running()) {
      // The container was said not to run. If that was wrong, nobody would ever end it without what is stored here.
      await this.#ending.endContainer(deadlineIn(clock, deadManMs).left());
      await platform.storage.setAlarm(clock.now() + tombstoneMs);
    } else if (clock.now() < erasedAt + tombstoneMs) await platform.storage.setAlarm(erasedAt + tombstoneMs);
    else await this.#wipe();
    return "handled";
  }

  /** Runs after the SDK's alarm: an object that was only looked at leaves nothing behind. */
  async afterAlarm(): Promise<void> {
    if (this.#dependencies.records.unused && !this.#dependencies.platform.running() && !this.#wiped) await this.#wipe();
  }

  /** The dead-man switch. true: it was time to end the container. */
  async endIfForgotten(): Promise<boolean> {
    const { records, platform, clock, terms, logger } = this.#dependencies;
    if (!platform.running()) return false;
    const { awakeUntil } = records;
    if (awakeUntil === null) {
      // The container runs, and no launch of ours started it. Give it as much time as any other, from now on.
      records.stayAwakeUntil(clock.now() + terms.sleepAfterMs);
      return false;
    }
    // A launch may take longer than the hold. The launch has a bound of its own and ends what did not come up by then.
    if (clock.now() < Math.max(awakeUntil, this.#launching.underWayUntil)) return false;
    logger.warn("a container that nobody renewed is ended", { object: platform.objectId });
    await this.#ending.endContainer(deadlineIn(clock, deadManMs).left());
    return true;
  }

  async #eraseMember(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<null>> {
    const { records, platform, clock } = this.#dependencies;
    const vacated = await this.#launching.inTurn(aim.sandboxId, () => this.#vacating.vacate(aim, null, timeoutMs));
    if (!vacated.ok) return vacated;
    if ("kept" in vacated.value)
      return failed("unavailable", `The files of the member are not removed: ${vacated.value.kept}.`, "none");
    // Nothing stored here says that anything was ever launched. Write no tombstone: the container may be about to be
    // used.
    if (!records.roster.known) {
      records.forget(clock.now() + tombstoneMs);
      await platform.storage.setAlarm(clock.now() + tombstoneMs);
    }
    return succeeded(null);
  }

  /** Deletes what is kept only for calls that come late. If something was launched meanwhile, nothing is deleted. */
  async #forget(): Promise<"handled" | "go on"> {
    const { records, platform, clock } = this.#dependencies;
    const { forgetAt, roster } = records;
    if (forgetAt === null || roster.known || platform.running()) return "go on";
    // The SDK's own alarm would leave no alarm behind.
    if (clock.now() < forgetAt) await platform.storage.setAlarm(forgetAt);
    else await this.#wipe();
    return "handled";
  }

  async #seen(look: () => Promise<ObjectLook>): Promise<ObjectLook> {
    try {
      return await look();
    } catch (error) {
      const { objectId } = this.#dependencies.platform;
      return { host: objectId, boot: "", answer: "unknown", residue: [], detail: words(error) };
    }
  }

  async #wipe(): Promise<void> {
    this.#wiped = true;
    await this.#dependencies.platform.storage.wipe();
  }

  async #answer<T>(what: string, call: () => Promise<ProviderResult<T>>): Promise<ProviderResult<T>> {
    try {
      return await call();
    } catch (error) {
      this.#dependencies.logger.error("the fence failed", { what, error: words(error) });
      return failed("unavailable", `The container's object failed (${what}): ${words(error)}`, "unknown");
    }
  }
}

/** The words of an error, for a log and an operator. */
function words(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 300);
}
