/**
 * Small files of the host that must be on disk before anything relies on them, also when the disk is full.
 *
 * Ending a sandbox needs writes (it is retired, a snapshot is removed), and on a full disk only ended sandboxes give room
 * back. So this host keeps room: `reserve` is a file of slots, allocated while there is room and overwritten in place when
 * there is none. The text in a slot overrides the file of the same name, and moves into that file once there is room.
 *
 * Everything is synchronous, so that no await separates a check from the write that it guards.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { Refusal } from "../refusal.ts";
import { isFull } from "../../proc/errno.ts";

const slotBytes = 2_048;
const slots = 512;
const reserveName = "reserve";
/** A file occupies whole blocks: up to this length it grows without taking more room. */
const blockBytes = 4_096;

const slotContent = z.object({ sequence: z.int(), name: z.string(), text: z.string(), sum: z.string() });

interface Reserved {
  readonly slot: number;
  readonly sequence: number;
  readonly text: string;
}

export class DurableFiles {
  readonly #root: string;
  readonly #reserved = new Map<string, Reserved>();
  readonly #free: number[] = [];
  #descriptor: number | null = null;
  #sequence = 0;

  constructor(root: string) {
    this.#root = root;
  }

  /** Reads the reserve, or makes it if there is room. Without a reserve, fewer writes succeed on a full disk. */
  open(): void {
    this.close();
    const path = join(this.#root, reserveName);
    if (!existsSync(path) || statSync(path).size < slots * slotBytes) {
      if (!this.#makeReserve(path)) return;
    }
    this.#descriptor = openSync(path, "r+");
    const content = readFileSync(path);
    for (let slot = 0; slot < slots; slot += 1)
      this.#load(slot, content.subarray(slot * slotBytes, (slot + 1) * slotBytes));
    this.settle();
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
    this.#reserved.clear();
    this.#free.length = 0;
  }

  /** Once this returns, a power cut cannot undo the write. Throws `insufficient_space` when the reserve is full as well. */
  write(name: string, text: string): void {
    const earlier = this.#reserved.get(name);
    if (earlier === undefined && this.#tryPlain(name, text)) return;
    if (this.#tryReserve(name, text)) return this.settle();
    // Not while a slot holds an older text of that name: the slot would override this write.
    if (earlier === undefined && this.#tryInPlace(name, text)) return;
    throw new Refusal(
      "insufficient_space",
      "The disk of the sandbox host is full, and so is the space that it keeps for ending sandboxes. Free some space on it.",
    );
  }

  /** null: no such file. */
  read(name: string): string | null {
    const reserved = this.#reserved.get(name);
    if (reserved !== undefined) return reserved.text;
    const path = join(this.#root, name);
    return existsSync(path) ? readFileSync(path, "utf8") : null;
  }

  has(name: string): boolean {
    return this.#reserved.has(name) || existsSync(join(this.#root, name));
  }

  /** The names in a directory. Unfinished writes are left out. */
  list(directory: string): readonly string[] {
    const path = join(this.#root, directory);
    const files = existsSync(path) ? readdirSync(path).filter((name) => !name.startsWith(".")) : [];
    const reserved = [...this.#reserved.keys()].filter((name) => dirname(name) === directory);
    return [...new Set([...files, ...reserved.map((name) => name.slice(directory.length + 1))])];
  }

  remove(name: string): void {
    rmSync(join(this.#root, name), { force: true });
    const reserved = this.#reserved.get(name);
    if (reserved !== undefined) this.#clear(name, reserved);
  }

  /** Moves the texts in the reserve into files of their own, as far as there is room. */
  settle(): void {
    for (const [name, reserved] of this.#reserved) {
      if (!this.#tryPlain(name, reserved.text)) return;
      this.#clear(name, reserved);
    }
    if (this.#descriptor === null && existsSync(this.#root)) this.#openNew();
  }

  #openNew(): void {
    const path = join(this.#root, reserveName);
    if (!this.#makeReserve(path)) return;
    this.#descriptor = openSync(path, "r+");
    for (let slot = 0; slot < slots; slot += 1) this.#free.push(slot);
  }

  /** False: there is no room. */
  #tryPlain(name: string, text: string): boolean {
    const directory = join(this.#root, dirname(name));
    const temporary = join(this.#root, dirname(name), `.${name.slice(dirname(name).length + 1) || name}.new`);
    try {
      if (mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined) syncDirectory(dirname(directory));
      writeSynced(temporary, text);
      renameSync(temporary, join(this.#root, name));
      syncDirectory(directory);
      return true;
    } catch (error) {
      rmSync(temporary, { force: true });
      if (isFull(error)) return false;
      throw error;
    }
  }

  #tryReserve(name: string, text: string): boolean {
    const descriptor = this.#descriptor;
    const slot = this.#free.at(-1);
    const sequence = this.#sequence + 1;
    const content = Buffer.from(JSON.stringify({ sequence, name, text, sum: sumOf(sequence, name, text) }));
    if (descriptor === null || slot === undefined || content.length > slotBytes) return false;
    const padded = Buffer.alloc(slotBytes);
    content.copy(padded);
    try {
      writeSync(descriptor, padded, 0, slotBytes, slot * slotBytes);
      fdatasyncSync(descriptor);
    } catch (error) {
      // A file system that writes to new places has no room for this either.
      if (isFull(error)) return false;
      throw error;
    }
    this.#free.pop();
    this.#sequence = sequence;
    const earlier = this.#reserved.get(name);
    this.#reserved.set(name, { slot, sequence, text });
    if (earlier !== undefined) this.#wipe(earlier.slot);
    return true;
  }

  /** For a host whose disk was full before it could make a reserve. A torn write leaves an unreadable record, which is refused. */
  #tryInPlace(name: string, text: string): boolean {
    const path = join(this.#root, name);
    if (!existsSync(path) || statSync(path).size === 0 || Buffer.byteLength(text) > blockBytes) return false;
    const file = openSync(path, "r+");
    try {
      writeSync(file, text, 0);
      ftruncateSync(file, Buffer.byteLength(text));
      fsyncSync(file);
      return true;
    } catch (error) {
      if (isFull(error)) return false;
      throw error;
    } finally {
      closeSync(file);
    }
  }

  #makeReserve(path: string): boolean {
    try {
      writeSynced(path, Buffer.alloc(slots * slotBytes));
      return true;
    } catch (error) {
      rmSync(path, { force: true });
      if (isFull(error)) return false;
      throw error;
    }
  }

  #load(slot: number, bytes: Buffer): void {
    const content = contentOf(bytes);
    if (content === null) {
      this.#free.push(slot);
      return;
    }
    const { name, sequence, text } = content;
    this.#sequence = Math.max(this.#sequence, sequence);
    const other = this.#reserved.get(name);
    if (other !== undefined && other.sequence > sequence) return this.#wipe(slot);
    this.#reserved.set(name, { slot, sequence, text });
    if (other !== undefined) this.#wipe(other.slot);
  }

  #clear(name: string, { slot }: Reserved): void {
    this.#reserved.delete(name);
    this.#wipe(slot);
  }

  #wipe(slot: number): void {
    if (this.#descriptor === null) return;
    writeSync(this.#descriptor, Buffer.alloc(slotBytes), 0, slotBytes, slot * slotBytes);
    fdatasyncSync(this.#descriptor);
    this.#free.push(slot);
  }
}

function contentOf(bytes: Buffer): z.infer<typeof slotContent> | null {
  const end = bytes.indexOf(0);
  if (end === 0) return null;
  try {
    const content = slotContent.parse(JSON.parse(bytes.toString("utf8", 0, end === -1 ? slotBytes : end)));
    return content.sum === sumOf(content.sequence, content.name, content.text) ? content : null;
  } catch {
    // A torn slot: its write was never acknowledged.
    return null;
  }
}

function sumOf(sequence: number, name: string, text: string): string {
  return createHash("sha256")
    .update(JSON.stringify([sequence, name, text]))
    .digest("hex")
    .slice(0, 16);
}

function writeSynced(path: string, content: string | Buffer): void {
  const file = openSync(path, "w", 0o600);
  try {
    const bytes = Buffer.from(content as string);
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes a directory inside another. Once this returns, a power cut cannot undo it. */
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
