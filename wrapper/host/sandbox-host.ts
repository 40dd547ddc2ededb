/**
 * One host: builds what its operations depend on, begins and ends, knows which control plane it serves and whether it can answer.
 *
 * Until the first look at /proc is complete it refuses every operation with `scanning`: a host that does not know yet must
 * not say "absent".
 */
import type { z } from "zod";
import type { hostHealth } from "../../src/protocol/sandbox/host.ts";
import { Containers } from "./containers.ts";
import { Snapshots } from "./disk/snapshots.ts";
import { diskFull } from "./disk/space.ts";
import { FileOperations } from "./file-operations.ts";
import { identityOf, type HostDependencies } from "./host-dependencies.ts";
import { HostTraffic } from "./http/traffic.ts";
import { KeyedQueue } from "../../src/calls/keyed-queue.ts";
import { Launcher } from "./launch/launcher.ts";
import { Restores } from "./launch/restores.ts";
import { ProcessOperations } from "./process-operations.ts";
import { Cgroups } from "./processes/cgroups.ts";
import { JobUsers, proveJobUsers, type JobUserRange } from "./processes/job-users.ts";
import { Residue, type Aim } from "./processes/residue.ts";
import { Stopper } from "./processes/stopper.ts";
import { Records } from "./records/records.ts";
import { StateDirectory } from "./records/state-directory.ts";
import { reasonOf, Refusal } from "./refusal.ts";

export interface SandboxHostOptions {
  readonly stateDirectory: string;
  readonly wrapperFile: string;
  readonly version: string;
  /** Bytes that all sandboxes and snapshots may take together; null: what the disk has. */
  readonly quotaBytes: number | null;
  /** The users that jobs run as, one for each sandbox; null: jobs run as the host does. */
  readonly jobUsers: JobUserRange | null;
  /** false: forget the control plane that was served so far. */
  readonly keepControlPlane: boolean;
  /** Control groups of the kernel: `possible` uses them where the host may make them. */
  readonly cgroups: "possible" | "never";
  /** For tests: how much older than it is everything on disk looks to a reclaim. ms */
  readonly agedMs: number;
}

/** The operations, which a host that is not ready refuses. */
export interface HostOperations {
  readonly processes: ProcessOperations;
  readonly files: FileOperations;
}

/** A job without marks is known by its parent, so the host has to see it while the parent lives. */
const lookEveryMs = 1_000;

export class SandboxHost {
  readonly state: StateDirectory;
  readonly #dependencies: HostDependencies;
  readonly #operations: HostOperations;
  readonly #version: string;
  #ready = false;
  #looking: NodeJS.Timeout | null = null;

  constructor(options: SandboxHostOptions) {
    this.state = new StateDirectory(options.stateDirectory, options.keepControlPlane);
    this.#version = options.version;
    this.#dependencies = dependenciesOf(this.state, options);
    this.#operations = {
      processes: new ProcessOperations(this.#dependencies),
      files: new FileOperations(this.#dependencies),
    };
  }

  /** Reads what is stored and looks once. From then on the host answers. */
  start(): void {
    const { records, containers, jobUsers, snapshots, residue } = this.#dependencies;
    records.load(Date.now(), (sandboxId) => this.state.isEmpty(sandboxId));
    for (const { sandboxId, container } of records.all())
      if (container !== null) this.state.house(sandboxId, container);
    containers.load(Date.now());
    jobUsers.load();
    snapshots.start(Date.now());
    for (const { armed, sessionId } of records.all()) {
      if (armed?.running == null || sessionId === null || armed.bootId !== this.state.bootId) continue;
      const owner = { session: sessionId, instance: armed.instanceId, generation: armed.generation };
      for (const { pid, startTime } of [armed.running.guardian, armed.running.wrapper])
        residue.remember(pid, startTime, owner);
    }
    residue.look();
    this.#ready = true;
    this.#looking = setInterval(() => this.#tick(), lookEveryMs);
  }

  close(): void {
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#ready = false;
    this.#dependencies.cgroups?.removeEmpty();
    this.state.unlock();
  }

  /** Throws `scanning` or `state_unusable`. Call it right before the operation, with no await in between. */
  get operations(): HostOperations {
    if (!this.#ready) throw new Refusal("scanning", "The host has not finished looking at what runs here.");
    const problem = this.#stateProblem();
    if (problem !== null) throw new Refusal("state_unusable", problem);
    return this.#operations;
  }

  get traffic(): HostTraffic {
    return this.#dependencies.traffic;
  }

  /** For the end of a demo: retires and ends every sandbox, and answers how many processes are left. */
  endAll(graceMs: number): Promise<number> {
    return this.#operations.processes.endAll(graceMs);
  }

  /**
   * Refuses a caller of another control plane, which does not know the sandboxes here and would end them. The first one
   * that calls is adopted. `asked` null: the caller names none; it may still use what it can name (`isNamed`).
   */
  serve(asked: string | null, isNamed: boolean): void {
    const served = asked === null ? this.state.controlPlane : this.state.serve(asked);
    if (served === null || served === asked || (asked === null && isNamed)) return;
    throw new Refusal(
      "foreign_control_plane",
      `This host belongs to control plane ${served}, and ${asked === null ? "a caller that names none" : `control plane ${asked}`} asked. ` +
        "Point LOCAL_HOST_URL at a host of its own, or start this one with --forget-control-plane once the other is gone.",
    );
  }

  health(): z.infer<typeof hostHealth> {
    const unusable = this.#ready ? this.#stateProblem() : null;
    return {
      ...identityOf(this.#dependencies),
      // A host on a full disk still answers: ending sandboxes is what gives room back.
      ready: this.#ready && unusable === null,
      version: this.#version,
      control_plane: this.state.controlPlane,
      problem: unusable ?? (this.#ready ? diskFull(this.state) : null),
      now: Date.now(),
    };
  }

  /** Must not end the host: a failure here shows again with the next call, and is answered there. */
  #tick(): void {
    try {
      this.#dependencies.residue.look();
      this.#keepState();
      this.state.files.settle();
      this.state.removals.retry(Date.now());
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    }
  }

  /** When the state directory was removed under this host, writes it anew from memory, so that ends can still be proven. */
  #keepState(): void {
    if (this.state.isWhole) return;
    this.state.makeAnew();
    this.#dependencies.records.writeAll();
    this.#dependencies.containers.writeAll(Date.now());
  }

  #stateProblem(): string | null {
    try {
      this.#keepState();
      return null;
    } catch (error) {
      return `The state directory of the sandbox host is gone and cannot be made again (${reasonOf(error)}).`;
    }
  }
}

function dependenciesOf(state: StateDirectory, options: SandboxHostOptions): HostDependencies {
  const { wrapperFile, version, quotaBytes, jobUsers: range, agedMs } = options;
  const records = new Records(state.files);
  const cgroups = options.cgroups === "never" ? null : Cgroups.open(state.hostId);
  if (range !== null) proveJobUsers(range, state, wrapperFile);
  const jobUsers = new JobUsers(
    range,
    records,
    (sandboxId) => state.isEmpty(sandboxId) && !launcher.isStarting(sandboxId),
  );
  const residue = new Residue((aim) => armedAt(records, state, aim), {
    members: () => [...(cgroups?.members() ?? []), ...jobUsers.members()],
  });
  const stopper = new Stopper(residue);
  const snapshots = new Snapshots(state, quotaBytes);
  const queue = new KeyedQueue();
  const restores = new Restores(snapshots, state, queue);
  const containers = new Containers({ state, records, residue, stopper });
  const shared = { state, records, residue, stopper, restores, queue, containers, cgroups, jobUsers, quotaBytes };
  const launcher = new Launcher({ ...shared, wrapperFile, version });
  const traffic = new HostTraffic({ records, bootId: state.bootId });
  return { ...shared, traffic, snapshots, launcher, agedMs };
}

/** Ticks since boot. Infinity when this host never armed it in this boot: what was never started hides nowhere. */
function armedAt(records: Records, state: StateDirectory, aim: Aim): number {
  for (const { sessionId, armed } of records.all()) {
    if (armed === null || armed.bootId !== state.bootId) continue;
    if (sessionId === aim.session && armed.generation === aim.generation) return armed.armedAt;
  }
  return Number.POSITIVE_INFINITY;
}
