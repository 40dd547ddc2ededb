/**
 * Restores of workspaces that are under way, at most one per sandbox id, each with a bound of its own (disk/snapshots.ts).
 *
 * A caller begins one or learns how far it is. A caller that goes away ends nothing, because a restore may take longer
 * than any call. A retirement ends it, because nobody will use its files.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { HostRestoreOrder } from "../../../src/protocol/sandbox/host.ts";
import type { RunAs } from "../../agent/user/job-user.ts";
import type { Snapshots } from "../disk/snapshots.ts";
import type { KeyedQueue } from "../../../src/calls/keyed-queue.ts";
import type { StateDirectory } from "../records/state-directory.ts";
import { Refusal } from "../refusal.ts";

export interface Progress {
  readonly done: boolean;
  readonly doneBytes: number;
  readonly totalBytes: number | null;
}

export type RestoreTarget = Pick<HostRestoreOrder, "session_id" | "sandbox_id" | "container" | "generation">;

export interface Unpacking {
  readonly instanceId: string;
  readonly target: RestoreTarget;
  readonly snapshot: string;
  /** The session that saved it. */
  readonly source: string;
  /** Whose the files are afterwards; null: whose they were. */
  readonly owner: RunAs | null;
  readonly passed: (doneBytes: number, totalBytes: number) => void;
}

interface Underway {
  readonly instanceId: string;
  readonly ended: Promise<void>;
  progress: Progress;
}

export class Restores {
  readonly #snapshots: Pick<Snapshots, "restore">;
  readonly #state: Pick<StateDirectory, "sandbox">;
  readonly #queue: KeyedQueue;
  /** By sandbox id, also while it waits in the queue. */
  readonly #underway = new Map<string, Underway>();
  /** By sandbox id, while files are being unpacked. */
  readonly #unpacking = new Map<string, { readonly target: RestoreTarget; readonly abort: AbortController }>();

  constructor(snapshots: Pick<Snapshots, "restore">, state: Pick<StateDirectory, "sandbox">, queue: KeyedQueue) {
    this.#snapshots = snapshots;
    this.#state = state;
    this.#queue = queue;
  }

  /** Begins, unless this instance's restore is under way. Rejects as the restore does. */
  async follow(
    instanceId: string,
    order: HostRestoreOrder,
    begin: (passed: Unpacking["passed"]) => Promise<void>,
  ): Promise<Progress> {
    const { sandbox_id: sandboxId } = order;
    const known = this.#underway.get(sandboxId);
    if (known !== undefined && known.instanceId !== instanceId)
      throw new Refusal("occupied", `Sandbox ${sandboxId} is being restored for instance ${known.instanceId}.`);
    const current = known ?? this.#begin(sandboxId, instanceId, begin);
    await Promise.race([current.ended, pause(order.wait_ms, null, { ref: false })]);
    return current.progress;
  }

  /** In the sandbox's turn of the queue. Does nothing when this instance's workspace is restored already. */
  async unpack({ instanceId, target, snapshot, source, owner, passed }: Unpacking): Promise<void> {
    const abort = new AbortController();
    this.#unpacking.set(target.sandbox_id, { target, abort });
    try {
      await this.#snapshots.restore({
        session: source,
        name: snapshot,
        sandbox: this.#state.sandbox(target.sandbox_id),
        owner,
        instance: instanceId,
        signal: abort.signal,
        passed,
      });
    } finally {
      this.#unpacking.delete(target.sandbox_id);
    }
  }

  abort(isRetired: (target: RestoreTarget) => boolean): void {
    for (const { target, abort } of this.#unpacking.values()) if (isRetired(target)) abort.abort();
  }

  /** Resolves when nothing is being unpacked into that shared container. */
  async ended(container: string): Promise<void> {
    const members = [...this.#unpacking.values()].filter(({ target }) => target.container === container);
    await Promise.all(members.map(({ target }) => this.#queue.drained(target.sandbox_id)));
  }

  #begin(sandboxId: string, instanceId: string, begin: (passed: Unpacking["passed"]) => Promise<void>): Underway {
    const ended = begin((doneBytes, totalBytes) => {
      current.progress = { done: false, doneBytes, totalBytes };
    }).then(() => {
      current.progress = { ...current.progress, done: true };
    });
    const current: Underway = { instanceId, ended, progress: { done: false, doneBytes: 0, totalBytes: null } };
    this.#underway.set(sandboxId, current);
    const leave = (): void => void this.#underway.delete(sandboxId);
    ended.then(leave, leave);
    return current;
  }
}
