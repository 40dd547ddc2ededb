/**
 * Named pipes for the descriptors of processes, made ahead of use.
 *
 * Not the socket pairs that Node makes: a program that opens /dev/stdout or /dev/stderr by name fails on a socket. Making pipes takes
 * a program of its own, whose start would be half of the time that a short process takes; so some are always ready.
 */
import { execFile, execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { markers } from "../../../../src/protocol/sandbox/markers.ts";

const { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;
const ready = 16;

/** The two ends of a pipe. The child's is a descriptor, to be closed after the spawn. */
export interface PipeIn {
  readonly ours: Socket;
  readonly childs: number;
}

/**
 * An instance has one service process at a time, so what bears its name at the start of one was left by another that was killed. Those
 * of other instances stay: on a host they may share the place for temporary files.
 */
const prefix = `.mooring-pipes-${process.env[markers.instance] ?? "none"}-`;

export function removeLeftPipes(): void {
  try {
    for (const name of readdirSync(tmpdir()))
      if (name.startsWith(prefix)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  } catch {
    // There is no place for temporary files, or it is closed to us: then nothing of ours is there.
  }
}

export class PipeShelf {
  readonly #directory: string;
  #names: string[] = [];
  #count = 0;
  #filling: Promise<void> | null = null;

  /** Throws when there is no place for temporary files, or no `mkfifo`. */
  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), prefix));
    try {
      const names = this.#newNames();
      execFileSync("mkfifo", ["-m", "600", ...names], { stdio: "ignore" });
      this.#names = names;
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A pipe that the child writes to. */
  async forOutput(): Promise<PipeIn> {
    const path = await this.#take();
    // In this order no open waits for its other end, and only our own end is non-blocking.
    const ours = openSync(path, O_RDONLY | O_NONBLOCK);
    const childs = openOrClose(path, O_WRONLY, ours);
    rmSync(path, { force: true });
    return { ours: new Socket({ fd: ours, readable: true, writable: false }), childs };
  }

  /** A pipe that the child reads from. */
  async forInput(): Promise<PipeIn> {
    const path = await this.#take();
    const both = openSync(path, O_RDWR | O_NONBLOCK);
    try {
      const childs = openSync(path, O_RDONLY);
      const ours = openOrClose(path, O_WRONLY | O_NONBLOCK, childs);
      return { ours: new Socket({ fd: ours, readable: false, writable: true }), childs };
    } finally {
      closeSync(both);
      rmSync(path, { force: true });
    }
  }

  async #take(): Promise<string> {
    for (;;) {
      const name = this.#names.pop();
      if (this.#names.length < ready / 2) void this.#fill().catch(() => {});
      if (name !== undefined) return name;
      await this.#fill();
    }
  }

  #fill(): Promise<void> {
    this.#filling ??= this.#make().finally(() => {
      this.#filling = null;
    });
    return this.#filling;
  }

  async #make(): Promise<void> {
    const names = this.#newNames();
    await promisify(execFile)("mkfifo", ["-m", "600", ...names]);
    this.#names.push(...names);
  }

  #newNames(): string[] {
    return Array.from({ length: ready }, () => join(this.#directory, String((this.#count += 1))));
  }
}

function openOrClose(path: string, flags: number, other: number): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    closeSync(other);
    throw error;
  }
}
