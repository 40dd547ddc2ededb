/**
 * Launches: one wrapper per instance however often it is asked, and none that is retired, late, or would share a sandbox id with
 * another instance.
 *
 * Those of one sandbox run one after another; members of a shared container side by side, but for the step that starts it. The order
 * inside one is: refuse, arm durably, start the container, refuse again, bring in the files, refuse again, start the guardian,
 * wait for the wrapper's own proof. What fails then ends what it started (ending.ts), and says `none` only when it saw that
 * nothing is left.
 */
import { failed, succeeded, type ProviderFailure, type ProviderResult } from "../../../domain/state/failure.ts";
import type { InstanceId, SandboxId } from "../../../domain/state/ids.ts";
import type { Residue } from "../../../domain/state/observation.ts";
import type { Launched, LaunchOrder } from "../../agent-sandbox.ts";
import type { Armed } from "./fence-records.ts";
import type { Ending } from "./ending.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import { type SandboxLayout, layoutOf, memberOf } from "./sandbox-layout.ts";
import { deadlineIn, limited, type Deadline } from "../platform/limited-call.ts";
import type { Reports } from "./reports.ts";
import type { DiskSpace } from "../seats/disk-space.ts";
import type { KeptFiles, Saving } from "../files/saving.ts";
import { launchRefusal, type LaunchRefused } from "./launch-refusal.ts";
import { Spawning } from "./spawning.ts";
import type { StartGate } from "./start-gate.ts";
import { KeyedQueue } from "../../../calls/keyed-queue.ts";
import type { Vacating } from "../seats/vacating.ts";
import { bounded, timedOut } from "../../../calls/bounded-call.ts";

/**
 * From a cold start to the first exec took 0.7 to 1.7 s where measured. The rest is for a slow placement and an image
 * pull.
 */
const startMs = 35_000;
/** A wrapper listens within half a second on one whole core. */
const readyMs = 15_000;
/** Kept of the launch's own time, to end what it started; never more than a quarter. */
const abandonMs = 4_000;
/** The longest that a launch may take, including its own retries. */
export const launchRetriesMs = startMs + readyMs + abandonMs;
const lastWordsBytes = 300;
const tooSlow =
  "The agent did not answer within the time of one launch, so its start was given up. Where sandboxes start slowly, an operator raises LAUNCH_TIMEOUT_SECONDS.";
const endedEarly = "The container ended before its agent answered.";
/** Not a sandbox id: the key of the queue in which containers are started. */
const startingTurn = "the container";

export interface LaunchCollaborators {
  readonly ending: Ending;
  readonly saving: Saving;
  readonly diskSpace: DiskSpace;
  readonly vacating: Vacating;
  readonly reports: Reports;
}

export class Launching {
  readonly #dependencies: FenceDependencies;
  readonly #gate: StartGate;
  readonly #ending: Ending;
  readonly #saving: Saving;
  readonly #diskSpace: DiskSpace;
  readonly #vacating: Vacating;
  readonly #reports: Reports;
  readonly #spawning: Spawning;
  /** Queues launches by sandbox id, because input gates do not hold across the SDK's awaits. */
  readonly #turns = new KeyedQueue();
  /** When the time of each launch under way is over, epoch ms. */
  readonly #bounds = new Set<{ readonly at: number }>();

  constructor(dependencies: FenceDependencies, gate: StartGate, others: LaunchCollaborators) {
    this.#dependencies = dependencies;
    this.#gate = gate;
    this.#ending = others.ending;
    this.#saving = others.saving;
    this.#diskSpace = others.diskSpace;
    this.#vacating = others.vacating;
    this.#reports = others.reports;
    this.#spawning = new Spawning(dependencies);
  }

  launch(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>> {
    const kept = Math.min(abandonMs, timeoutMs / 4);
    const { clock } = this.#dependencies;
    const deadline = deadlineIn(clock, timeoutMs - kept);
    const bound = { at: clock.now() + timeoutMs };
    this.#bounds.add(bound);
    return this.#turns
      .run(order.sandboxId, () => this.#launch(order, deadline))
      .finally(() => this.#bounds.delete(bound));
  }

  /** Epoch ms: until then a launch may still be under way; 0: none is. Bounded even if a launch never ends. */
  get underWayUntil(): number {
    return Math.max(0, ...[...this.#bounds].map(({ at }) => at));
  }

  /**
   * Waits until no launch of that sandbox, or of any sandbox, is under way; false: one still was when the time was
   * over.
   */
  async settled(ms: number, sandboxId?: SandboxId): Promise<boolean> {
    return (await bounded(this.#dependencies.clock, ms, () => this.#turns.drained(sandboxId))) !== timedOut;
  }

  isStarting(sandboxId: SandboxId): boolean {
    return this.#turns.isBusy(sandboxId);
  }

  /** Runs `act` while nothing of that sandbox is launched. */
  inTurn<T>(sandboxId: SandboxId, act: () => Promise<T>): Promise<T> {
    return this.#turns.run(sandboxId, act);
  }

  async #launch(order: LaunchOrder, deadline: Deadline): Promise<ProviderResult<Launched>> {
    const { records, platform } = this.#dependencies;
    const refusal = this.#refusal(order);
    if (refusal !== null) return refusal;
    const known = records.sandbox(order.sandboxId).armed;
    // A repeat gets the answer of the first launch, even if that instance has ended since: an instance runs once.
    if (known?.ready === true) return succeeded(this.#launched());
    if (deadline.left() === 0)
      return failed(
        "timed_out",
        "An earlier launch of this sandbox took all the time of this one, so nothing was started.",
        "none",
      );
    const files =
      order.restore === undefined
        ? null
        : await this.#saving.find(order.restoreOf ?? order.sessionId, order.restore, deadline);
    if (files !== null && !files.ok) return files;
    if (platform.running()) {
      const taken = await this.#taken(order, deadline);
      if (taken !== null) return taken;
    }
    const starts = (known?.starts ?? 0) + 1;
    let armed = this.#arm(order, false, starts);
    if (armed === null && order.container !== undefined && (await this.#vacating.freeOne(order.container, deadline)))
      armed = this.#arm(order, false, starts);
    if (armed === null)
      return failed(
        "no_capacity",
        "Every slot of the shared container is taken, so nothing was started. A slot is free again once a member that ended was removed.",
        "none",
      );
    await records.sync();
    const launched = await this.#bringUp(order, armed, starts, files?.value ?? null, deadline);
    if (launched.ok) return launched;
    const why = await this.#whyNot(order, launched.failure, abandonMs / 4);
    const isOver = await this.#abandon(order, (3 * abandonMs) / 4);
    return { ok: false, failure: isOver ? { ...why, effect: "none" } : why };
  }

  async #bringUp(
    order: LaunchOrder,
    layout: SandboxLayout,
    starts: number,
    files: KeptFiles | null,
    deadline: Deadline,
  ): Promise<ProviderResult<Launched>> {
    const isCalledOff = (): boolean => this.#refusal(order) !== null;
    const started = await this.#start(order, starts, deadline);
    if (!started.ok) return this.#refusal(order) ?? started;
    const space = await this.#diskSpace.forMember(order, deadline);
    if (!space.ok) return space;
    if (files !== null) {
      const restored = await this.#saving.restore(order, layout, files, deadline.left());
      if (!restored.ok) return restored;
    }
    const spawned = await this.#spawning.spawn(order, layout, starts, isCalledOff, deadline.left());
    // Retired meanwhile, or too late: what was started is ended again.
    const refusal = this.#refusal(order);
    if (refusal !== null) return refusal;
    if (!spawned.ok) return spawned;
    // On this platform the container ends with its agent, so an agent that will never listen is noticed at once. A slow
    // agent, as when many start together, gets what is left of the call: ending it and starting again would be no
    // faster.
    const readyWithin =
      this.#dependencies.platform.native === null ? Math.min(readyMs, deadline.left()) : deadline.left();
    const ready = await this.#spawning.isReady(order, layout, isCalledOff, readyWithin);
    if (!ready) return failed("unavailable", this.#dependencies.platform.running() ? tooSlow : endedEarly, "unknown");
    const retired = this.#refusal(order);
    if (retired !== null) return retired;
    this.#arm(order, true, starts);
    return succeeded(this.#launched());
  }

  /** Answers the failure, or what it is evidence of, with the last words of the process that was started. */
  async #whyNot(order: LaunchOrder, failure: ProviderFailure, ms: number): Promise<ProviderFailure> {
    if (!this.#dependencies.platform.running()) return failure;
    const [why, said] = await Promise.all([
      this.#diskSpace.whyNot(order, failure, ms),
      failure.code === "unavailable" ? this.#reports.logs(order, lastWordsBytes, ms) : null,
    ]);
    const words = said?.ok === true ? said.value.text.trim().split("\n").at(-1) : undefined;
    return words === undefined || words === "" ? why : { ...why, message: `${why.message} It said: ${words}` };
  }

  /** Ends what was begun and not finished. true: nothing of it is left, and nothing is on its way. */
  async #abandon(order: LaunchOrder, ms: number): Promise<boolean> {
    const { clock } = this.#dependencies;
    const deadline = deadlineIn(clock, ms);
    const { container } = order;
    if (container === undefined) return this.#ending.endContainer(ms);
    if (!(await this.#ending.endMember(order, deadline.left()))) return false;
    // What it stored would forbid the next try. That one gets another seat, because something else may have taken its
    // port.
    const { sessionId, sandboxId, generation } = order;
    const aim = { sessionId, sandboxId, container, generation, instanceId: null };
    const vacated = await this.#vacating.vacate(aim, null, deadline.left());
    return vacated.ok && "freedBytes" in vacated.value;
  }

  /** The gate allows one start at a time, so members start their container one after another. */
  #start(order: LaunchOrder, starts: number, deadline: Deadline): Promise<ProviderResult<void>> {
    const { clock, platform } = this.#dependencies;
    const { sessionId, instanceId, generation, template } = order;
    const marks = { sessionId, instanceId, generation, starts, ...(template === undefined ? {} : { template }) };
    return this.#turns.run(startingTurn, () => {
      const within = Math.min(startMs, deadline.left());
      return this.#gate.during(order, () =>
        limited(clock, within, true, (signal) => platform.start(within, signal, marks)),
      );
    });
  }

  /** Arms the instance durably, with a seat if it is a member of a shared container. null: no seat is free. */
  #arm({ sandboxId, container, ...order }: LaunchOrder, ready: boolean, starts: number): SandboxLayout | null {
    const { records, clock, terms, platform } = this.#dependencies;
    if (container !== undefined && records.roster.take(sandboxId, clock.now()) === null) return null;
    const { sessionId, generation, instanceId } = order;
    const armed: Armed = { sessionId, generation, instanceId, ready, starts };
    records.arm(sandboxId, armed);
    // Armed again when the wrapper is ready: a slow launch may have used up the first hold, and the first renewal must
    // still find the container.
    const until = clock.now() + terms.sleepAfterMs;
    records.stayAwakeUntil(until);
    // The SDK's object has an alarm loop of its own.
    if (platform.native !== null) platform.renewActivity(until);
    return layoutOf(container === undefined ? { sandboxId } : { sandboxId, container }, this.#dependencies);
  }

  #launched(): Launched {
    return { host: this.#dependencies.platform.objectId, boot: this.#dependencies.records.boot };
  }

  #refusal(order: LaunchOrder): LaunchRefused | null {
    return launchRefusal(order, this.#dependencies);
  }

  async #inside(order: LaunchOrder, deadline: Deadline): Promise<ProviderResult<readonly Residue[]>> {
    const { platform, toolbox, clock } = this.#dependencies;
    const { native } = platform;
    if (native === null) return toolbox.look(order, deadline, memberOf(order, this.#dependencies));
    const seen = await limited(clock, deadline.left(), false, () => native.inspect());
    if (!seen.ok) return seen;
    const instanceId = (seen.value?.instanceId ?? null) as InstanceId | null;
    // Without a label nobody can tell whose container it is. But only launches of this sandbox start anything in this
    // object.
    return succeeded(instanceId === null ? [] : [{ kind: "container", instanceId, pid: null }]);
  }

  /**
   * The container runs although no launch of this sandbox is finished: a crash cut one short, another instance is in
   * it, or an old start came late. null: nothing in it is in the way.
   */
  async #taken(order: LaunchOrder, deadline: Deadline): Promise<ProviderResult<Launched> | null> {
    const seen = await this.#inside(order, deadline);
    if (!seen.ok)
      return failed(
        "unavailable",
        `The container runs, and who is in it could not be found out, so nothing was started. ${seen.failure.message}`,
        "none",
      );
    const foreign = seen.value.find(({ instanceId }) => instanceId !== order.instanceId);
    if (foreign !== undefined) {
      const who = `Process ${foreign.pid ?? "?"} of instance ${foreign.instanceId ?? "(legacy)"}`;
      return failed(
        "foreign_instance",
        `${who} is in the container, so nothing was started. It has to end first.`,
        "none",
      );
    }
    if (seen.value.length === 0 && this.#dependencies.platform.native === null) return null;
    const layout = layoutOf(order, this.#dependencies);
    const isCalledOff = (): boolean => this.#refusal(order) !== null;
    const within = Math.min(readyMs, deadline.left());
    if (layout !== null && (await this.#spawning.isReady(order, layout, isCalledOff, within))) {
      this.#arm(order, true, this.#dependencies.records.sandbox(order.sandboxId).armed?.starts ?? 1);
      return succeeded(this.#launched());
    }
    // It is this very instance, and it does not come up. The next start must find nothing of it.
    if (await this.#abandon(order, Math.min(abandonMs, deadline.left()))) return null;
    return failed(
      "unavailable",
      "An earlier start of this instance did not come up and could not be ended. It has to end before another start.",
      "unknown",
    );
  }
}
