/**
 * Starts instances: one guardian per instance however often it is asked, and none that was retired, is late, or would
 * share a sandbox id with another instance (I6, PHY-9, PHY-10, PHY-15).
 *
 * Launches of one sandbox id run one after another. The order inside one is: refuse, arm durably, refuse again, spawn;
 * the second check and the spawn have no await between them, so after `retire` was acknowledged nothing is spawned.
 * A launch answers when the wrapper listens, or fails having left nothing.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { HostInstance, HostLaunchOrder } from "../../src/protocol/host.ts";
import { markers, wrapperReady } from "../../src/protocol/wrapper.ts";
import { bootDocument } from "./boot-document.ts";
import type { Containers } from "./containers.ts";
import type { Cgroups } from "./cgroups.ts";
import type { JobUsers } from "./job-users.ts";
import { readProcess, startTimeOf, ticksSinceBoot } from "./process-table.ts";
import type { Armed, Records, Running } from "./records.ts";
import { Refusal } from "./refusal.ts";
import type { Residue } from "./residue.ts";
import type { Snapshots } from "./snapshots.ts";
import { refuseWithoutSpace, whyNotPrepared } from "./space.ts";
import type { InstancePaths, StateDirectory } from "./state-directory.ts";
import type { Stopper } from "./stopper.ts";
import type { RunAs } from "../src/job-user.ts";
import { guardianNodeFlags } from "../src/lean-node.ts";

export interface LauncherParts {
  readonly state: StateDirectory;
  readonly records: Records;
  readonly residue: Residue;
  readonly stopper: Stopper;
  readonly snapshots: Snapshots;
  readonly containers: Pick<Containers, "isRetired">;
  readonly cgroups: Cgroups | null;
  readonly jobUsers: Pick<JobUsers, "of">;
  readonly wrapperFile: string;
  readonly version: string;
  /** Bytes that all sandboxes and snapshots may take together; null: what the disk has. */
  readonly quotaBytes: number | null;
}

/** A wrapper listens within half a second here; a busy machine gets twenty times that, well inside a launch call of 60 s. */
const readyMs = 15_000;
const readyPollMs = 10;
/** All that a guardian inherits. The host's token must not be in it. */
const inherited = ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

export class Launcher {
  readonly #parts: LauncherParts;
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #starting = new Map<string, number>();

  constructor(parts: LauncherParts) {
    this.#parts = parts;
  }

  async launch(instanceId: string, order: HostLaunchOrder): Promise<HostInstance> {
    const { sandbox_id: sandboxId } = order;
    this.#starting.set(sandboxId, (this.#starting.get(sandboxId) ?? 0) + 1);
    try {
      return await this.inTurn(sandboxId, () => this.#launch(instanceId, order));
    } finally {
      const left = (this.#starting.get(sandboxId) ?? 1) - 1;
      if (left === 0) this.#starting.delete(sandboxId);
      else this.#starting.set(sandboxId, left);
    }
  }

  /** A launch of it is under way, or waits for its turn. */
  isStarting(sandboxId: string): boolean {
    return this.#starting.has(sandboxId);
  }

  /** Whatever is done with one sandbox id is done one after another: nothing is launched into what is being removed. */
  inTurn<T>(sandboxId: string, act: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(sandboxId) ?? Promise.resolve();
    const mine = before.then(act, act);
    this.#queues.set(sandboxId, mine);
    const leave = (): void => {
      if (this.#queues.get(sandboxId) === mine) this.#queues.delete(sandboxId);
    };
    mine.then(leave, leave);
    return mine;
  }

  /** Where a running instance listens. `not_found` once its wrapper is gone, whoever may have taken its port since. */
  endpoint(instanceId: string): HostInstance {
    const record = this.#parts.records.byInstance(instanceId);
    if (record?.armed == null || record.sessionId === null)
      throw new Refusal("not_found", `No instance ${instanceId} here.`);
    const { armed, sandboxId, sessionId } = record;
    const { running } = armed;
    const alive =
      running !== null &&
      armed.bootId === this.#parts.state.bootId &&
      startTimeOf(running.wrapper.pid) === running.wrapper.startTime;
    if (!alive) throw new Refusal("not_found", `The wrapper of instance ${instanceId} is not running.`);
    return this.#described(sandboxId, sessionId, armed, running);
  }

  async #launch(instanceId: string, order: HostLaunchOrder): Promise<HostInstance> {
    this.#refuse(instanceId, order);
    if (order.container !== undefined) this.#parts.state.house(order.sandbox_id, order.container);
    const known = this.#parts.records.get(order.sandbox_id)?.armed ?? null;
    // A repeat learns what the first one did, even when that has ended since: an instance runs once.
    if (known?.running) return this.#described(order.sandbox_id, order.session_id, known, known.running);
    await refuseWithoutSpace(this.#parts.state, this.#parts.quotaBytes, 0);
    const aim = { session: order.session_id, generation: order.generation, instance: null };
    const left = await this.#parts.residue.of(aim);
    const foreign = left.find((found) => found.owner.instance !== instanceId);
    if (foreign !== undefined) {
      throw new Refusal(
        "occupied",
        `Process ${foreign.pid} of instance ${foreign.owner.instance ?? "(legacy)"} is here.`,
      );
    }
    const { bootId } = this.#parts.state;
    const jobUid = this.#parts.jobUsers.of(order.sandbox_id);
    const armedAt = known?.bootId === bootId ? known.armedAt : ticksSinceBoot();
    const unanswered: Armed = { generation: order.generation, instanceId, bootId, armedAt, jobUid, running: null };
    const guardian = left.find((found) => found.kind === "guardian");
    // Of this very instance, and no record says where it listens: a crash of ours cut the launch that started it short.
    if (guardian !== undefined) {
      const found = await this.#ready(
        instanceId,
        guardian.pid,
        this.#parts.state.instance(order.sandbox_id, instanceId),
      );
      if (found !== null) return this.#answered(order, unanswered, found);
    }
    if (left.length > 0) await this.#clear(instanceId, order);
    // Nothing of this instance ever acted, so whatever an earlier try restored may be replaced.
    if (order.restore !== undefined) {
      const sandbox = this.#parts.state.sandbox(order.sandbox_id);
      await this.#parts.snapshots.restore(order.session_id, order.restore, sandbox, runAs(unanswered));
      this.#refuse(instanceId, order);
    }
    const { guardianPid, paths } = this.#begin(instanceId, order, unanswered);
    const ready = await this.#ready(instanceId, guardianPid, paths);
    if (ready !== null) return this.#answered(order, unanswered, ready);
    await this.#clear(instanceId, order);
    throw new Refusal("launch_failed", `The wrapper did not come up: ${lastLines(paths.log)}`);
  }

  /** No await between the last refusal and the spawn. A write that is refused before it is told as what it is: nothing was started. */
  #begin(instanceId: string, order: HostLaunchOrder, unanswered: Armed): { guardianPid: number; paths: InstancePaths } {
    try {
      const paths = this.#parts.state.prepare(order.sandbox_id, instanceId);
      this.#arm(order, unanswered);
      this.#refuse(instanceId, order);
      return { guardianPid: this.#spawn(instanceId, order, paths, unanswered.jobUid), paths };
    } catch (error) {
      throw whyNotPrepared(this.#parts.state, error);
    }
  }

  #answered(order: HostLaunchOrder, armed: Armed, running: Running): HostInstance {
    this.#arm(order, { ...armed, running });
    return this.#described(order.sandbox_id, order.session_id, armed, running);
  }

  #arm(order: HostLaunchOrder, armed: Armed): void {
    const { sandbox_id: sandboxId, session_id: sessionId, container } = order;
    this.#parts.records.arm(sandboxId, sessionId, container ?? null, armed, Date.now());
  }

  #refuse(instanceId: string, order: HostLaunchOrder): void {
    const record = this.#parts.records.get(order.sandbox_id);
    if (this.#parts.containers.isRetired(order.container))
      throw new Refusal("refused_retired", `Container ${order.container ?? ""} is retired.`);
    if (record?.retiredThrough != null && order.generation <= record.retiredThrough) {
      throw new Refusal(
        "refused_retired",
        `Sandbox ${order.sandbox_id} is retired through generation ${record.retiredThrough}.`,
      );
    }
    const armed = record?.armed;
    if (armed != null && (armed.instanceId !== instanceId || armed.generation !== order.generation)) {
      throw new Refusal(
        "occupied",
        `Sandbox ${order.sandbox_id} serves instance ${armed.instanceId} of generation ${armed.generation}.`,
      );
    }
    if (armed != null && (record?.container ?? null) !== (order.container ?? null))
      throw new Refusal("occupied", `Sandbox ${order.sandbox_id} is in ${record?.container ?? "no shared container"}.`);
    const elsewhere = this.#parts.records.byInstance(instanceId);
    if (elsewhere !== null && elsewhere.sandboxId !== order.sandbox_id) {
      throw new Refusal("occupied", `Instance ${instanceId} belongs to sandbox ${elsewhere.sandboxId}.`);
    }
    // Idempotent repeats of a launch that landed in time are no new start.
    if (armed?.running == null && Date.now() > order.launch_not_after) {
      throw new Refusal("refused_late", `It came ${Date.now() - order.launch_not_after} ms after launch_not_after.`);
    }
  }

  #spawn(instanceId: string, order: HostLaunchOrder, paths: InstancePaths, jobUid: number | null): number {
    const { state, wrapperFile, version } = this.#parts;
    const out = openSync(paths.ready, "w", 0o600);
    const log = openSync(paths.log, "a", 0o600);
    try {
      const guardian = spawn(process.execPath, [...guardianNodeFlags, wrapperFile, "guardian"], {
        cwd: state.sandbox(order.sandbox_id).workspace,
        // Its own kernel session: a Ctrl-C of the host's terminal must not reach it.
        detached: true,
        stdio: ["pipe", out, log],
        env: {
          ...Object.fromEntries(
            inherited.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
          ),
          [markers.session]: order.session_id,
          [markers.instance]: instanceId,
          [markers.generation]: String(order.generation),
          [markers.version]: version,
          [markers.role]: "guardian",
        },
      });
      guardian.on("error", () => {}); // No pid then: told below.
      guardian.stdin?.on("error", () => {}); // It ended before it read: the ready wait tells.
      // It starts nothing before it has read what follows, so whatever it ever starts is in the group.
      const owner = { session: order.session_id, generation: order.generation, instance: instanceId };
      if (guardian.pid !== undefined) this.#parts.cgroups?.enter(owner, guardian.pid);
      const sandbox = state.sandbox(order.sandbox_id);
      guardian.stdin?.end(JSON.stringify(bootDocument(instanceId, order, sandbox, paths.state, jobUid)));
      guardian.unref();
      if (guardian.pid === undefined) throw new Refusal("launch_failed", `${process.execPath} cannot be started.`);
      return guardian.pid;
    } finally {
      closeSync(out);
      closeSync(log);
    }
  }

  async #ready(instanceId: string, guardianPid: number, paths: InstancePaths): Promise<Running | null> {
    const guardianStart = startTimeOf(guardianPid);
    const until = performance.now() + readyMs;
    while (performance.now() < until && guardianStart !== null && startTimeOf(guardianPid) === guardianStart) {
      const [line, rest] = readFileSync(paths.ready, "utf8").split("\n");
      if (line !== undefined && rest !== undefined) {
        const ready = wrapperReady.parse(JSON.parse(line));
        const wrapper = readProcess(ready.wrapper_pid);
        if (wrapper === null || typeof wrapper.marks === "string" || wrapper.marks.instance !== instanceId) return null;
        return {
          guardian: { pid: guardianPid, startTime: guardianStart },
          wrapper: { pid: ready.wrapper_pid, startTime: wrapper.startTime },
          url: `http://127.0.0.1:${ready.port}`,
        };
      }
      await pause(readyPollMs);
    }
    return null;
  }

  async #clear(instanceId: string, order: HostLaunchOrder): Promise<void> {
    const aim = { session: order.session_id, generation: order.generation, instance: instanceId };
    const stopped = await this.#parts.stopper.stop(aim, 0);
    if (stopped.remaining.length > 0)
      throw new Refusal("internal", "A failed launch left processes that could not be ended.");
  }

  #described(sandboxId: string, sessionId: string, armed: Armed, running: Running): HostInstance {
    return {
      host_id: this.#parts.state.hostId,
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

function runAs({ jobUid }: Armed): RunAs | null {
  return jobUid === null ? null : { uid: jobUid, gid: jobUid };
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, "utf8").trim().split("\n").slice(-3).join(" | ").slice(-500) || "it said nothing";
  } catch {
    return "it said nothing";
  }
}
