/**
 * Shared containers of this host: a directory that holds the places of its members, and a durable word that nothing is
 * launched in it any more. Which sandboxes are in one is in their own records. Ending a container ends every process of
 * every member there ever was, by their marks, and of nothing else.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeDurably, type Records } from "./records.ts";
import { Refusal } from "./refusal.ts";
import type { Aim, Found, Residue } from "./residue.ts";
import { containerIdText, type StateDirectory } from "./state-directory.ts";
import type { Stopper } from "./stopper.ts";

const containerRecord = z.object({ retired: z.literal(true) });
/** A launch is refused by its own `launch_not_after` minutes after it was sent. */
const tombstoneMs = 7 * 24 * 3_600_000;

export interface ContainerParts {
  readonly state: StateDirectory;
  readonly records: Records;
  readonly residue: Residue;
  readonly stopper: Stopper;
}

export class Containers {
  readonly #parts: ContainerParts;
  readonly #directory: string;
  readonly #retired = new Set<string>();

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    this.#directory = join(parts.state.path, "containers");
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  /** One that cannot be read counts as retired: its id is never used again anyway. */
  load(now: number): void {
    for (const file of readdirSync(this.#directory)) {
      const id = file.slice(0, -".json".length);
      const path = join(this.#directory, file);
      const old = now - statSync(path).mtimeMs > tombstoneMs;
      if (!file.endsWith(".json") || (old && this.#readable(path) && !this.#parts.state.hasContainer(id)))
        rmSync(path, { force: true });
      else this.#retired.add(id);
    }
  }

  isRetired(id: string | undefined): boolean {
    return id !== undefined && this.#retired.has(id);
  }

  retire(id: string): void {
    if (this.#retired.has(containerIdText.parse(id))) return;
    writeDurably(this.#directory, `${id}.json`, JSON.stringify({ retired: true }));
    this.#retired.add(id);
  }

  /** Throws when something cannot be decided: nobody may then call it absent. */
  async residue(id: string): Promise<readonly Found[]> {
    const found = await Promise.all(this.#members(id).map((aim) => this.#parts.residue.of(aim)));
    return found.flat();
  }

  /** The directory of it is there. */
  exists(id: string): boolean {
    return this.#parts.state.hasContainer(id);
  }

  async destroy(id: string): Promise<void> {
    if (!this.isRetired(id)) throw new Refusal("invalid", `Container ${id} is not retired.`);
    const stopped = await Promise.all(this.#members(id).map((aim) => this.#parts.stopper.stop(aim, 0)));
    const left = stopped.reduce((sum, { remaining }) => sum + remaining.length, 0);
    if (left > 0) throw new Refusal("internal", `${left} processes of container ${id} could not be ended.`);
    await this.#parts.state.removeContainer(id);
  }

  #members(id: string): readonly Aim[] {
    return [...this.#parts.records.all()].flatMap(({ container, sessionId, armed }) =>
      container !== id || sessionId === null || armed === null
        ? []
        : [{ session: sessionId, generation: armed.generation, instance: null }],
    );
  }

  #readable(path: string): boolean {
    try {
      return containerRecord.safeParse(JSON.parse(readFileSync(path, "utf8"))).success;
    } catch {
      return false;
    }
  }
}
