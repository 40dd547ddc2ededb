/**
 * The outputs of one instance on disk, within one budget for all of them.
 *
 * Every output may keep `floorBytes`, so that no job is left without its last words. What it keeps beyond that comes from a
 * pool that all outputs share. When the pool is empty, the outputs of ended jobs shrink to their last bytes, oldest first:
 * the session has stored those ends already. When that frees nothing, the output that asked stops growing and goes on as a
 * ring (output-spool.ts).
 */
import { open } from "node:fs/promises";
import { OutputSpool } from "./output-spool.ts";

export interface OutputLimits {
  /** The most that one output keeps. */
  readonly spoolBytes: number;
  /** What every output may keep, whatever the others do. */
  readonly floorBytes: number;
  /** What all outputs together may keep beyond their floors. */
  readonly poolBytes: number;
}

/** Twice the tail that a session stores: the end of an output and some of its beginning. */
const floorBytes = 128 * 1_024;

/** Two outputs of full size, and as many small ones as an instance remembers: 256 MB with 64 MB for one output. */
export function outputLimits(spoolBytes: number): OutputLimits {
  return { spoolBytes, floorBytes: Math.min(floorBytes, spoolBytes), poolBytes: 2 * spoolBytes };
}

export class OutputStore {
  readonly #limits: OutputLimits;
  /** In the order of their start. */
  readonly #spools = new Set<OutputSpool>();
  #pooled = 0;

  constructor(limits: OutputLimits) {
    this.#limits = limits;
  }

  /** Bytes that are taken from the pool. */
  get pooledBytes(): number {
    return this.#pooled;
  }

  async create(path: string): Promise<OutputSpool> {
    const spool = new OutputSpool(path, await open(path, "wx+", 0o600), {
      maxBytes: this.#limits.spoolBytes,
      resize: (from, to) => this.#resize(from, to),
      removed: () => this.#spools.delete(spool),
    });
    this.#spools.add(spool);
    return spool;
  }

  /** An output's file grows or shrinks. false: there is no room for that. */
  #resize(from: number, to: number): boolean {
    const change = this.#beyondFloor(to) - this.#beyondFloor(from);
    if (change > 0 && this.#pooled + change > this.#limits.poolBytes) this.#reclaim(change);
    if (change > 0 && this.#pooled + change > this.#limits.poolBytes) return false;
    this.#pooled += change;
    return true;
  }

  #beyondFloor(bytes: number): number {
    return Math.max(0, bytes - this.#limits.floorBytes);
  }

  #reclaim(bytes: number): void {
    for (const spool of this.#spools) {
      if (this.#pooled + bytes <= this.#limits.poolBytes) return;
      if (spool.sizeBytes > this.#limits.floorBytes) spool.shrink();
    }
  }
}
