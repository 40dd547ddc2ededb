/**
 * Ends what runs in the container: one instance with its grace, or the whole container.
 *
 * A container that one sandbox has for itself is ended with it. That leaves nothing behind, whatever the processes did
 * (setsid, `env -i`, frozen), but it is done only when nobody but the named sandbox is in it. A shared container is
 * never ended here for the sake of one member. The SDK's `destroy` joins a destroy that is in flight, which may hang,
 * so it is tried once in the life of a container; after that the container's own is called.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { LaunchOrder, Stopped } from "../../agent-sandbox.ts";
import type { NativeCalls } from "../platform/container-platform.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import { memberOf } from "./sandbox-layout.ts";
import { type Deadline, deadlineIn, limited } from "../platform/limited-call.ts";
import type { Looking } from "./looking.ts";
import type { ObjectAim } from "../object-api.ts";
import { residueOf } from "../platform/toolbox-calls.ts";

/** After TERM and its grace the toolbox kills for at most 3 s, and Node has to start twice. */
const insideSlackMs = 5_000;
/** Time kept for ending the container, which took 0.1 to 0.4 s where measured. */
const destroyMs = 4_000;
/** The SDK's destroy gets this much of it; then the container's own follows. */
const sdkDestroyMs = 2_000;
const pollMs = 20;
const sigterm = 15;

export class Ending {
  readonly #dependencies: FenceDependencies;
  readonly #looking: Looking;

  constructor(dependencies: FenceDependencies, looking: Looking) {
    this.#dependencies = dependencies;
    this.#looking = looking;
  }

  async stop(aim: ObjectAim, graceMs: number, timeoutMs: number): Promise<ProviderResult<Stopped>> {
    const { platform, toolbox, clock, records } = this.#dependencies;
    const deadline = deadlineIn(clock, timeoutMs);
    if (!platform.running()) {
      if (platform.native !== null) await this.#startOverIfStale(platform.native, deadline);
      return this.#left(aim, deadline.left());
    }
    if (platform.native !== null) return this.#stopAlone(platform.native, aim, graceMs, deadline);
    const isShared = aim.container !== undefined;
    const insideMs = Math.min(graceMs + insideSlackMs, deadline.left() - (isShared ? 0 : destroyMs));
    const inside = await toolbox.stop(aim, graceMs, insideMs, memberOf(aim, this.#dependencies));
    const { armed } = records.sandbox(aim.sandboxId);
    const newer = armed !== null && armed.generation > aim.generation;
    const alone = inside.ok
      ? inside.value.others.length === 0
      : // Nothing in it answers, so take the container for the sandbox that it was started for.
        armed === null || armed.instanceId === aim.instanceId;
    if (!isShared && !newer && (aim.instanceId === null || alone)) {
      await this.endContainer(deadline.left());
      return this.#left(aim, deadline.left());
    }
    if (!inside.ok) return inside;
    return succeeded({ remaining: inside.value.remaining.map(residueOf) });
  }

  /**
   * The agent is PID 1's only child. TERM makes it end its jobs with their grace, then itself, and the container ends
   * with it.
   */
  async #stopAlone(
    native: NativeCalls,
    aim: ObjectAim,
    graceMs: number,
    deadline: Deadline,
  ): Promise<ProviderResult<Stopped>> {
    const { platform, clock, records } = this.#dependencies;
    const { armed } = records.sandbox(aim.sandboxId);
    const isAnothers =
      armed !== null &&
      (armed.generation > aim.generation || (aim.instanceId !== null && armed.instanceId !== aim.instanceId));
    if (isAnothers) return this.#left(aim, deadline.left());
    const grace = deadlineIn(clock, Math.min(graceMs, Math.max(0, deadline.left() - destroyMs)));
    await limited(clock, Math.max(1, grace.left()), true, async () => native.signal(sigterm));
    while (platform.running() && grace.left() > 0) await clock.sleep(Math.min(pollMs, grace.left()));
    await this.endContainer(deadline.left());
    return this.#left(aim, deadline.left());
  }

  /**
   * The object believes that nothing runs, yet the platform shows a container: an engine started it again. `destroy`
   * does nothing in that state. Build the object anew, so that it asks the engine; the next attempt then ends what it
   * finds. This call fails.
   */
  async #startOverIfStale(native: NativeCalls, deadline: Deadline): Promise<void> {
    const { clock, logger } = this.#dependencies;
    const seen = await limited(clock, deadline.left(), false, () => native.inspect());
    if (!seen.ok || seen.value === null) return;
    logger.warn("the platform shows a container that this object does not see: the object is built anew", {});
    native.startOver();
  }

  /** Ends a member at once, without grace. true: a whole look finds nothing of it. */
  async endMember(order: LaunchOrder, ms: number): Promise<boolean> {
    const { platform, toolbox } = this.#dependencies;
    if (!platform.running()) return true;
    const stopped = await toolbox.stop(order, 0, ms, memberOf(order, this.#dependencies));
    return stopped.ok && stopped.value.remaining.length === 0;
  }

  /** Ends the container. true: the container says that it no longer runs. */
  async endContainer(ms: number): Promise<boolean> {
    const { platform, clock, records, logger } = this.#dependencies;
    const deadline = deadlineIn(clock, ms);
    if (!platform.running()) return true;
    if (records.countDestroy() === 1) {
      const ended = await limited(clock, Math.min(sdkDestroyMs, deadline.left()), true, () => platform.sdkDestroy());
      if (!ended.ok) logger.warn("the SDK's destroy failed", { code: ended.failure.code, why: ended.failure.message });
    }
    if (platform.running()) {
      const ended = await limited(clock, deadline.left(), true, () => platform.containerDestroy());
      if (!ended.ok) logger.warn("destroy failed", { code: ended.failure.code, why: ended.failure.message });
    }
    while (platform.running() && deadline.left() > 0) await clock.sleep(Math.min(pollMs, deadline.left()));
    return !platform.running();
  }

  async #left(aim: ObjectAim, ms: number): Promise<ProviderResult<Stopped>> {
    const seen = await this.#looking.look(aim, Math.max(ms, 1));
    if (seen.answer === "unknown")
      return failed(
        "unavailable",
        `The sandbox was told to end, and what is left of it could not be seen. ${seen.detail}`,
        "unknown",
      );
    return succeeded({ remaining: seen.residue });
  }
}
