/**
 * Shared containers of this host. A container is a directory that holds the directories of its members, and a stored mark
 * once it is retired, after which nothing is launched in it. The records of sandboxes say which container they are in.
 * Ending a container ends every process of every member that it ever had, and nothing else.
 */
import { z } from "zod";
import type { Records } from "./records/records.ts";
import { Refusal } from "./refusal.ts";
import type { Aim, Found, Residue } from "./processes/residue.ts";
import { containerIdText, type StateDirectory } from "./records/state-directory.ts";
import type { Stopper } from "./processes/stopper.ts";
import { tombstoneMs } from "./records/records.ts";

const containerRecord = z.object({ retired: z.literal(true), at: z.number().optional() });

const directory = "containers";

export interface ContainerDependencies {
  readonly state: StateDirectory;
  readonly records: Records;
  readonly residue: Residue;
  readonly stopper: Stopper;
}

export class Containers {
  readonly #dependencies: ContainerDependencies;
  readonly #retired = new Set<string>();

  constructor(dependencies: ContainerDependencies) {
    this.#dependencies = dependencies;
  }

  /** A mark that cannot be read counts as retired, because container ids are never used again. */
  load(now: number): void {
    const { files } = this.#dependencies.state;
    for (const file of files.list(directory)) {
      if (!file.endsWith(".json")) continue;
      const id = file.slice(0, -".json".length);
      const record = readable(files.read(`${directory}/${file}`) ?? "");
      const isOld = record?.at !== undefined && now - record.at > tombstoneMs;
      if (isOld && !this.#dependencies.state.hasContainer(id)) {
        files.remove(`${directory}/${file}`);
        continue;
      }
      this.#retired.add(id);
      // An earlier release stored no time.
      if (record !== null && record.at === undefined) this.#store(id, now);
    }
  }

  /** Stores everything again, after the state directory was removed under this host. */
  writeAll(now: number): void {
    for (const id of this.#retired) this.#store(id, now);
  }

  isRetired(id: string | undefined): boolean {
    return id !== undefined && this.#retired.has(id);
  }

  retire(id: string, now: number): void {
    if (this.#retired.has(containerIdText.parse(id))) return;
    this.#store(id, now);
    this.#retired.add(id);
  }

  /** Throws when a process cannot be attributed: then nobody may call the container empty. */
  async residue(id: string): Promise<readonly Found[]> {
    const found = await Promise.all(this.#members(id).map((aim) => this.#dependencies.residue.of(aim)));
    return found.flat();
  }

  /** Its directory exists. */
  exists(id: string): boolean {
    return this.#dependencies.state.hasContainer(id);
  }

  async destroy(id: string): Promise<void> {
    if (!this.isRetired(id)) throw new Refusal("invalid", `Container ${id} is not retired.`);
    const stopped = await Promise.all(this.#members(id).map((aim) => this.#dependencies.stopper.stop(aim, 0)));
    const left = stopped.reduce((sum, { remaining }) => sum + remaining.length, 0);
    if (left > 0) throw new Refusal("internal", `${left} processes of container ${id} could not be ended.`);
    await this.#dependencies.state.removeContainer(id);
  }

  /** Every sandbox that was ever launched in the container. */
  #members(id: string): readonly Aim[] {
    return [...this.#dependencies.records.all()].flatMap(({ container, sessionId, armed }) =>
      container !== id || sessionId === null || armed === null
        ? []
        : [{ session: sessionId, generation: armed.generation, instance: null }],
    );
  }

  #store(id: string, now: number): void {
    const record = { retired: true, at: now } satisfies z.infer<typeof containerRecord>;
    this.#dependencies.state.files.write(`${directory}/${id}.json`, JSON.stringify(record));
  }
}

function readable(text: string): z.infer<typeof containerRecord> | null {
  try {
    return containerRecord.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
