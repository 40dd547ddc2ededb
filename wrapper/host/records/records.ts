/**
 * What the host must know after a crash: which instance each sandbox id serves, and through which generation it is
 * retired. One small file per sandbox id, outside of the sandbox's directory, so that the tombstone outlives the directory.
 *
 * Each write is on disk before memory changes, and it is synchronous, so that no await separates a check from what it
 * guards. A record that cannot be read refuses its sandbox id; it never counts as missing.
 */
import { z } from "zod";
import type { DurableFiles } from "./durable-files.ts";

const processIdentity = z.object({ pid: z.int(), startTime: z.int() });

const running = z.object({ guardian: processIdentity, wrapper: processIdentity, url: z.string() });
export type Running = z.infer<typeof running>;

const armed = z.object({
  generation: z.int(),
  instanceId: z.string(),
  bootId: z.string(),
  /** When it was first armed, in ticks since that boot. No process of the instance is older. */
  armedAt: z.int(),
  /** The user that its jobs run as; null: the host's. */
  jobUid: z.int().nullable().default(null),
  /** null: the launch was never answered. Only such a launch may be tried again. */
  running: running.nullable(),
});
export type Armed = z.infer<typeof armed>;

const sandboxRecord = z.object({
  sandboxId: z.string(),
  /** null: retired before anything was launched in it. */
  sessionId: z.string().nullable(),
  armed: armed.nullable(),
  /** The shared container that holds its directory; null: none. */
  container: z.string().nullable().default(null),
  retiredThrough: z.int().nullable(),
  /** Epoch ms of the last change, for pruning. */
  changedAt: z.number(),
});
export type SandboxRecord = z.infer<typeof sandboxRecord>;

/** The file of a record exists and cannot be read. */
class UnreadableRecord extends Error {}

/**
 * How long it is remembered that something was retired or removed. Far longer than a launch or a save can be on its way:
 * `launch_not_after` refuses a launch minutes after it was sent.
 */
export const tombstoneMs = 7 * 24 * 3_600_000;

const directory = "records";

export class Records {
  readonly #files: DurableFiles;
  readonly #records = new Map<string, SandboxRecord>();
  readonly #unreadable = new Set<string>();

  constructor(files: DurableFiles) {
    this.#files = files;
  }

  /** Reads all; forgets the tombstones of sandboxes whose directory `isEmpty` and that have not changed for a week. */
  load(now: number, isEmpty: (sandboxId: string) => boolean): void {
    for (const file of this.#files.list(directory)) {
      const sandboxId = file.slice(0, -".json".length);
      try {
        const record = sandboxRecord.parse(JSON.parse(this.#files.read(`${directory}/${file}`) ?? ""));
        if (record.retiredThrough !== null && now - record.changedAt > tombstoneMs && isEmpty(sandboxId)) {
          this.#files.remove(`${directory}/${file}`);
        } else {
          this.#records.set(sandboxId, record);
        }
      } catch {
        this.#unreadable.add(sandboxId);
      }
    }
  }

  /** Stores everything again, after the state directory was removed under this host. */
  writeAll(): void {
    for (const record of this.#records.values()) this.#store(record);
  }

  get(sandboxId: string): SandboxRecord | null {
    if (this.#unreadable.has(sandboxId)) {
      throw new UnreadableRecord(
        `The record of sandbox ${sandboxId} cannot be read; look at ${directory}/${sandboxId}.json in the host's state directory.`,
      );
    }
    return this.#records.get(sandboxId) ?? null;
  }

  all(): Iterable<SandboxRecord> {
    return this.#records.values();
  }

  unreadable(): ReadonlySet<string> {
    return this.#unreadable;
  }

  byInstance(instanceId: string): SandboxRecord | null {
    for (const record of this.#records.values()) if (record.armed?.instanceId === instanceId) return record;
    return null;
  }

  arm(sandboxId: string, sessionId: string, container: string | null, order: Armed, now: number): void {
    this.#write({ ...this.#currentOr(sandboxId), sessionId, container, armed: order, changedAt: now });
  }

  /** Answers the generation through which the sandbox is retired, which never goes down. */
  retire(sandboxId: string, generation: number, now: number): number {
    const current = this.#currentOr(sandboxId);
    const retiredThrough = Math.max(current.retiredThrough ?? generation, generation);
    if (retiredThrough !== current.retiredThrough) this.#write({ ...current, retiredThrough, changedAt: now });
    return retiredThrough;
  }

  #currentOr(sandboxId: string): SandboxRecord {
    return (
      this.get(sandboxId) ?? {
        sandboxId,
        sessionId: null,
        armed: null,
        container: null,
        retiredThrough: null,
        changedAt: 0,
      }
    );
  }

  #write(record: SandboxRecord): void {
    this.#store(record);
    this.#records.set(record.sandboxId, record);
  }

  #store(record: SandboxRecord): void {
    this.#files.write(`${directory}/${record.sandboxId}.json`, JSON.stringify(record));
  }
}
