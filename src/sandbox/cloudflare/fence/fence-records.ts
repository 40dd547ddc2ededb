/**
 * What the fence of one container must still know after an eviction, a deploy or a crash: which instance each sandbox
 * id serves, through which generation it is retired, until when the container may stay awake, and whether it was
 * erased.
 *
 * Reads and writes are synchronous, so that no await separates a check from the act that it guards. A row that cannot
 * be understood throws: the caller is refused, and the row is never taken for "never armed".
 */
import type { Generation, InstanceId, SandboxId, SessionId } from "../../../domain/state/ids.ts";
import type { FenceStorage } from "../platform/container-platform.ts";
import { Roster } from "../seats/roster.ts";

export interface Armed {
  readonly sessionId: SessionId;
  readonly generation: Generation;
  readonly instanceId: InstanceId;
  /** true: its wrapper proved itself once. An instance runs once and is never started again. */
  readonly ready: boolean;
  /** Starts so far. Each start uses a new process id: if one is reused, the SDK loses track of the first process. */
  readonly starts: number;
}

export interface SandboxRecord {
  readonly sandboxId: SandboxId;
  readonly armed: Armed | null;
  readonly retiredThrough: Generation | null;
}

interface ObjectRecord {
  /** Random, made with the first row. Answers with the same value come from the same storage. */
  readonly boot: string;
  /** Epoch ms: when this has passed without a renewal the container is ended. null: this object never started it. */
  readonly awakeUntil: number | null;
  /** How often the end of the container was begun. */
  readonly destroys: number;
  /** Epoch ms; null: the object is in use. */
  readonly erasedAt: number | null;
  /**
   * Epoch ms: everything may be deleted then, unless something was launched meanwhile. Absent in rows that are older
   * than shared containers.
   */
  readonly forgetAt?: number;
}

const objectKey = "mooring:object";
// The key keeps the word "place": stored records have it.
const sandboxKey = (sandboxId: string): string => `mooring:place:${sandboxId}`;
/** The `boot` of an object that stores nothing, because nothing was ever done in it. */
export const unusedBoot = "unused";

export class FenceRecords {
  /** The members of a shared container. */
  readonly roster: Roster;
  readonly #storage: FenceStorage;
  readonly #mintBoot: () => string;

  constructor(storage: FenceStorage, mintBoot: () => string) {
    this.#storage = storage;
    this.#mintBoot = mintBoot;
    this.roster = new Roster(storage, () => this.#use());
  }

  get boot(): string {
    return this.#object()?.boot ?? unusedBoot;
  }

  get awakeUntil(): number | null {
    return this.#object()?.awakeUntil ?? null;
  }

  get erasedAt(): number | null {
    return this.#object()?.erasedAt ?? null;
  }

  get forgetAt(): number | null {
    return this.#object()?.forgetAt ?? null;
  }

  /** true: nothing was ever armed or retired here. */
  get unused(): boolean {
    return this.#object() === null;
  }

  sandbox(sandboxId: SandboxId): SandboxRecord {
    const stored = this.#storage.get(sandboxKey(sandboxId));
    if (stored === undefined || stored === null) return { sandboxId, armed: null, retiredThrough: null };
    const row = stored as Partial<SandboxRecord>;
    if (row.sandboxId !== sandboxId || row.armed === undefined || row.retiredThrough === undefined) {
      throw new Error(
        `The stored record of sandbox ${sandboxId} cannot be understood: it is broken, or a newer Mooring wrote it. It is left as it is.`,
      );
    }
    return row as SandboxRecord;
  }

  arm(sandboxId: SandboxId, armed: Armed): void {
    this.#write({ ...this.sandbox(sandboxId), armed });
  }

  /** Never goes back. Answers the generation through which the sandbox id is now retired. */
  retire(sandboxId: SandboxId, generation: Generation): Generation {
    const sandbox = this.sandbox(sandboxId);
    const retiredThrough = Math.max(sandbox.retiredThrough ?? generation, generation) as Generation;
    if (retiredThrough !== sandbox.retiredThrough) this.#write({ ...sandbox, retiredThrough });
    return retiredThrough;
  }

  stayAwakeUntil(at: number): void {
    this.#writeObject({ ...this.#current(), awakeUntil: at });
  }

  /** Answers how often the end was begun, this time included. */
  countDestroy(): number {
    const object = this.#current();
    this.#writeObject({ ...object, destroys: object.destroys + 1 });
    return object.destroys + 1;
  }

  erase(at: number): void {
    this.#writeObject({ ...this.#current(), erasedAt: at });
  }

  forget(at: number): void {
    this.#writeObject({ ...this.#current(), forgetAt: at });
  }

  sync(): Promise<void> {
    return this.#storage.sync();
  }

  #write(sandbox: SandboxRecord): void {
    this.#use();
    this.#storage.put(sandboxKey(sandbox.sandboxId), sandbox);
  }

  #use(): void {
    if (this.unused) this.#writeObject(this.#current());
  }

  #object(): ObjectRecord | null {
    const stored = this.#storage.get(objectKey);
    if (stored === undefined || stored === null) return null;
    if (typeof (stored as Partial<ObjectRecord>).boot !== "string") {
      throw new Error(
        "The stored record of this container cannot be understood: it is broken, or a newer Mooring wrote it. It is left as it is.",
      );
    }
    return stored as ObjectRecord;
  }

  #current(): ObjectRecord {
    return this.#object() ?? { boot: this.#mintBoot(), awakeUntil: null, destroys: 0, erasedAt: null };
  }

  #writeObject(object: ObjectRecord): void {
    this.#storage.put(objectKey, object);
  }
}
