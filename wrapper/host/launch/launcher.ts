/**
 * Starts instances. However often a launch is sent, it starts one guardian. It starts none for an instance that is
 * retired or late, or whose sandbox id belongs to another instance.
 *
 * Launches of one sandbox id run one after another. Each one refuses, stores that the instance is armed, refuses again
 * and spawns. No await separates the second check from the spawn, so nothing is spawned after `retire` was acknowledged.
 * A launch answers when the wrapper listens; one that fails leaves no process.
 */
import { availableParallelism } from "node:os";
import type { HostInstance, HostLaunchOrder, HostRestoreOrder } from "../../../src/protocol/sandbox/host.ts";
import type { RunAs } from "../../agent/user/job-user.ts";
import { startTimeOf } from "../../proc/marked-processes.ts";
import { ticksSinceBoot } from "../../proc/process-table.ts";
import { refuseWithoutSpace, whyNotPrepared } from "../disk/space.ts";
import type { KeyedQueue } from "../../../src/calls/keyed-queue.ts";
import type { JobUsers } from "../processes/job-users.ts";
import type { Residue } from "../processes/residue.ts";
import type { Stopper } from "../processes/stopper.ts";
import type { Armed, Records, Running } from "../records/records.ts";
import { type InstancePaths, snapshotNameText } from "../records/state-directory.ts";
import { Refusal } from "../refusal.ts";
import { lastWords, spawnGuardian, untilWrapperListens, type GuardianDependencies } from "./guardian-process.ts";
import { LaunchTurns } from "./launch-turns.ts";
import { refuseLaunch, type InstanceOrder, type RefusalSources } from "./launch-refusals.ts";
import type { Progress, Restores, RestoreTarget, Unpacking } from "./restores.ts";

export interface LauncherDependencies extends GuardianDependencies, RefusalSources {
  readonly records: Records;
  readonly residue: Residue;
  readonly stopper: Stopper;
  readonly restores: Restores;
  /** One task at a time for each sandbox id, so that nothing is launched into a directory that is being removed. */
  readonly queue: KeyedQueue;
  readonly jobUsers: Pick<JobUsers, "of">;
  /** Bytes that all sandboxes and snapshots may take together; null: what the disk has. */
  readonly quotaBytes: number | null;
}

export const launchesAtOnce = 2 * availableParallelism();
/** A launch call takes at most 60 s, and a start some of them. */
const longestWaitMs = 40_000;

export class Launcher {
  readonly #dependencies: LauncherDependencies;
  readonly #turns = new LaunchTurns(launchesAtOnce, longestWaitMs);
  /** How many launches and restores of a sandbox id run or wait for their turn. */
  readonly #starting = new Map<string, number>();

  constructor(dependencies: LauncherDependencies) {
    this.#dependencies = dependencies;
  }

  launch(instanceId: string, order: HostLaunchOrder): Promise<HostInstance> {
    return this.#inTurn(order.sandbox_id, () => this.#launch(instanceId, order));
  }

  /** Begins to restore the workspace of an instance before its launch, or tells how far that is. */
  async restore(instanceId: string, order: HostRestoreOrder): Promise<Progress> {
    const { records, restores, state, jobUsers } = this.#dependencies;
    this.#refuse(instanceId, order);
    if (order.container !== undefined) state.house(order.sandbox_id, order.container);
    if (records.get(order.sandbox_id)?.armed?.running != null)
      throw new Refusal("occupied", `Instance ${instanceId} runs already.`);
    return restores.follow(instanceId, order, (passed) =>
      this.#inTurn(order.sandbox_id, async () => {
        this.#refuse(instanceId, order);
        const owner = runAs({ jobUid: jobUsers.of(order.sandbox_id) });
        const source = snapshotNameText.parse(order.snapshot_of ?? order.session_id);
        await this.#unpack({ instanceId, target: order, snapshot: order.snapshot, source, owner, passed });
      }),
    );
  }

  /** A launch or a restore of that sandbox id runs, or waits for its turn. */
  isStarting(sandboxId: string): boolean {
    return this.#starting.has(sandboxId);
  }

  /** Where a running instance listens. `not_found` once its wrapper is gone, even when another process has its port. */
  endpoint(instanceId: string): HostInstance {
    const { records, state } = this.#dependencies;
    const record = records.byInstance(instanceId);
    if (record?.armed == null || record.sessionId === null)
      throw new Refusal("not_found", `No instance ${instanceId} here.`);
    const { armed, sandboxId, sessionId } = record;
    const { running } = armed;
    const isAlive =
      running !== null &&
      armed.bootId === state.bootId &&
      startTimeOf(running.wrapper.pid) === running.wrapper.startTime;
    if (!isAlive) throw new Refusal("not_found", `The wrapper of instance ${instanceId} is not running.`);
    return this.#described(sandboxId, sessionId, armed, running);
  }

  async #launch(instanceId: string, order: HostLaunchOrder): Promise<HostInstance> {
    const { state, records, residue, jobUsers, quotaBytes } = this.#dependencies;
    this.#refuse(instanceId, order);
    if (order.container !== undefined) state.house(order.sandbox_id, order.container);
    const known = records.get(order.sandbox_id)?.armed ?? null;
    // An instance runs once: a repeat gets the first answer, even when that instance has ended since.
    if (known?.running) return this.#described(order.sandbox_id, order.session_id, known, known.running);
    await refuseWithoutSpace(state, quotaBytes, 0);

    const left = await residue.of({ session: order.session_id, generation: order.generation, instance: null });
    const foreign = left.find((found) => found.owner.instance !== instanceId);
    if (foreign !== undefined) {
      const instance = foreign.owner.instance ?? "(legacy)";
      throw new Refusal("occupied", `Process ${foreign.pid} of instance ${instance} is here.`);
    }
    const { bootId } = state;
    const jobUid = jobUsers.of(order.sandbox_id);
    const armedAt = known?.bootId === bootId ? known.armedAt : ticksSinceBoot();
    const armed: Armed = { generation: order.generation, instanceId, bootId, armedAt, jobUid, running: null };

    const guardian = left.find((found) => found.kind === "guardian");
    // A guardian of this very instance without a recorded address: the host crashed during the launch that started it.
    if (guardian !== undefined) {
      const paths = state.instance(order.sandbox_id, instanceId);
      const found = await untilWrapperListens(instanceId, guardian.pid, paths);
      if (found !== null) return this.#answered(order, armed, found);
    }
    if (left.length > 0) await this.#clear(instanceId, order);
    // This instance never acted, so files that an earlier try restored may be replaced.
    if (order.restore !== undefined) {
      const passed = (): void => {};
      const source = snapshotNameText.parse(order.restore_of ?? order.session_id);
      const owner = runAs(armed);
      await this.#unpack({ instanceId, target: order, snapshot: order.restore, source, owner, passed });
      this.#refuse(instanceId, order);
    }
    return this.#turns.run(async () => {
      const { guardianPid, paths } = this.#begin(instanceId, order, armed);
      const running = await untilWrapperListens(instanceId, guardianPid, paths);
      if (running !== null) return this.#answered(order, armed, running);
      await this.#clear(instanceId, order);
      throw new Refusal("launch_failed", `The wrapper did not come up: ${lastWords(paths)}`);
    });
  }

  /** A restore that a retirement ended fails with that refusal. */
  async #unpack(unpacking: Unpacking): Promise<void> {
    try {
      await this.#dependencies.restores.unpack(unpacking);
    } catch (error) {
      this.#refuse(unpacking.instanceId, unpacking.target);
      throw error;
    }
  }

  /** Synchronous from the last check to the spawn. A refused write becomes a refusal: nothing was started. */
  #begin(instanceId: string, order: HostLaunchOrder, armed: Armed): { guardianPid: number; paths: InstancePaths } {
    const { state } = this.#dependencies;
    try {
      const paths = state.prepare(order.sandbox_id, instanceId);
      this.#arm(order, armed);
      this.#refuse(instanceId, order);
      const guardianPid = spawnGuardian(this.#dependencies, { instanceId, order, paths, jobUid: armed.jobUid });
      return { guardianPid, paths };
    } catch (error) {
      throw whyNotPrepared(state, error);
    }
  }

  #answered(order: HostLaunchOrder, armed: Armed, running: Running): HostInstance {
    this.#arm(order, { ...armed, running });
    return this.#described(order.sandbox_id, order.session_id, armed, running);
  }

  #arm({ sandbox_id: sandboxId, session_id: sessionId, container }: HostLaunchOrder, armed: Armed): void {
    this.#dependencies.records.arm(sandboxId, sessionId, container ?? null, armed, Date.now());
  }

  #refuse(instanceId: string, order: InstanceOrder): void {
    refuseLaunch(this.#dependencies, instanceId, order);
  }

  async #clear(instanceId: string, order: RestoreTarget): Promise<void> {
    const aim = { session: order.session_id, generation: order.generation, instance: instanceId };
    const stopped = await this.#dependencies.stopper.stop(aim, 0);
    if (stopped.remaining.length > 0)
      throw new Refusal("internal", "A failed launch left processes that could not be ended.");
  }

  async #inTurn<T>(sandboxId: string, task: () => Promise<T>): Promise<T> {
    this.#starting.set(sandboxId, (this.#starting.get(sandboxId) ?? 0) + 1);
    try {
      return await this.#dependencies.queue.run(sandboxId, task);
    } finally {
      const left = (this.#starting.get(sandboxId) ?? 1) - 1;
      if (left === 0) this.#starting.delete(sandboxId);
      else this.#starting.set(sandboxId, left);
    }
  }

  #described(sandboxId: string, sessionId: string, armed: Armed, running: Running): HostInstance {
    return {
      host_id: this.#dependencies.state.hostId,
      boot_id: armed.bootId,
      instance_id: armed.instanceId,
      session_id: sessionId,
      sandbox_id: sandboxId,
      generation: armed.generation,
      guardian_pid: running.guardian.pid,
      wrapper_pid: running.wrapper.pid,
      url: running.url,
    };
  }
}

function runAs({ jobUid }: Pick<Armed, "jobUid">): RunAs | null {
  return jobUid === null ? null : { uid: jobUid, gid: jobUid };
}
