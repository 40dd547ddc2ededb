/**
 * What the host must still know after a crash: which instance each sandbox id serves, and through which generation it
 * is retired (I6). One small file per sandbox id, outside of the sandbox's directory, so that destroying the directory
 * keeps the tombstone.
 *
 * Every write is on disk (file and directory synced) before it is believed, and synchronous, so that a check and the
 * act it guards are never separated by an await. A record that cannot be read fails closed: its sandbox id is
 * refused, never taken for unknown.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const processIdentity = z.object({ pid: z.int(), startTime: z.int() });

const running = z.object({ guardian: processIdentity, wrapper: processIdentity, url: z.string() });
export type Running = z.infer<typeof running>;

const armed = z.object({
  generation: z.int(),
  instanceId: z.string(),
  bootId: z.string(),
  /** When it was first armed, ticks since that boot: no process of it is older. */
  armedAt: z.int(),
  /** The user that its jobs run as; null: the host's. */
  jobUid: z.int().nullable().default(null),
  /** null: armed, but it never answered. Only such a launch may be tried again. */
  running: running.nullable(),
});
export type Armed = z.infer<typeof armed>;

const sandboxRecord = z.object({
  sandboxId: z.string(),
  /** null: retired before anything was launched in it. */
  sessionId: z.string().nullable(),
  armed: armed.nullable(),
  /** The shared container that it is a place in; null: it has a directory of its own. */
  container: z.string().nullable().default(null),
  retiredThrough: z.int().nullable(),
  /** Epoch ms of the last change, for pruning. */
  changedAt: z.number(),
});
export type SandboxRecord = z.infer<typeof sandboxRecord>;

/** Its file is there and cannot be understood. */
class UnreadableRecord extends Error {}

/** A launch is refused by its own `launch_not_after` minutes after it was sent; a week is beyond any retry. */
const tombstoneMs = 7 * 24 * 3_600_000;

export class Records {
  readonly #directory: string;
  readonly #records = new Map<string, SandboxRecord>();
  readonly #unreadable = new Set<string>();

  constructor(stateDirectory: string) {
    this.#directory = join(stateDirectory, "records");
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  /** Reads all; forgets the tombstones of sandboxes whose directory `isEmpty` and that have not changed for a week. */
  load(now: number, isEmpty: (sandboxId: string) => boolean): void {
    for (const file of readdirSync(this.#directory)) {
      if (!file.endsWith(".json")) {
        rmSync(join(this.#directory, file), { force: true });
        continue;
      }
      const sandboxId = file.slice(0, -".json".length);
      try {
        const record = sandboxRecord.parse(JSON.parse(readFileSync(join(this.#directory, file), "utf8")));
        if (record.retiredThrough !== null && now - record.changedAt > tombstoneMs && isEmpty(sandboxId)) {
          rmSync(join(this.#directory, file), { force: true });
        } else {
          this.#records.set(sandboxId, record);
        }
      } catch {
        this.#unreadable.add(sandboxId);
      }
    }
  }

  get(sandboxId: string): SandboxRecord | null {
    if (this.#unreadable.has(sandboxId)) {
      throw new UnreadableRecord(
        `The record of sandbox ${sandboxId} cannot be read; look at ${this.#directory}/${sandboxId}.json.`,
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

  /** Never goes back. Answers the generation through which it is retired. */
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
    writeDurably(this.#directory, `${record.sandboxId}.json`, JSON.stringify(record));
    this.#records.set(record.sandboxId, record);
  }
}

/** When this returns, a power cut cannot undo it. */
export function writeDurably(directory: string, name: string, text: string): void {
  const temporary = join(directory, `.${name}.new`);
  const file = openSync(temporary, "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, join(directory, name));
  syncDirectory(directory);
}

/** A directory inside another; when this returns, a power cut cannot undo it. */
export function makeDurably(directory: string, name: string): void {
  const made = mkdirSync(join(directory, name), { recursive: true, mode: 0o700 });
  if (made !== undefined) syncDirectory(directory);
}

function syncDirectory(directory: string): void {
  const folder = openSync(directory, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
