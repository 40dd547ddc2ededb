/**
 * The history of what the layers did, kept by control. A history that cannot be written is logged and stops nothing:
 * ending what must end comes before telling of it.
 */
import type { Clock, Ids, Logger } from "../../runtime/clock-ids-logger.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { FleetControlApi, FleetRun } from "./control-api.ts";

export interface RunPorts {
  readonly control: Pick<FleetControlApi, "putRun">;
  readonly clock: Clock;
  readonly ids: Pick<Ids, "id">;
  readonly logger: Logger;
}

export interface RunHeading {
  readonly layer: string;
  /** `cron`, or who asked. */
  readonly by: string;
  readonly reason: string;
}

/** What a run has to say for itself. `detail` is plain data, cut to what control keeps. */
export interface RunFigures {
  readonly found: number;
  readonly done: number;
  readonly skipped: number;
  readonly failed: number;
  readonly detail: unknown;
}

const controlMs = 5_000;
/** Progress is written at most this often: a run over thousands must not make thousands of writes. */
const progressMs = 2_000;
/** What control keeps of one run. */
const detailChars = 1_000_000;

export class RunRecord {
  readonly #ports: RunPorts;
  readonly #run: FleetRun;
  #writtenAt: number;

  private constructor(ports: RunPorts, run: FleetRun) {
    this.#ports = ports;
    this.#run = run;
    this.#writtenAt = run.startedAt;
  }

  static async begin(ports: RunPorts, heading: RunHeading): Promise<RunRecord> {
    const startedAt = ports.clock.now();
    const none = { endedAt: null, outcome: null, found: 0, done: 0, skipped: 0, failed: 0, detail: "{}" };
    const record = new RunRecord(ports, { id: ports.ids.id(), ...heading, startedAt, ...none });
    await record.#put(record.#run);
    return record;
  }

  get id(): string {
    return this.#run.id;
  }

  /** While it goes on. Answers at once when one was written a moment ago. */
  async progress(figures: RunFigures): Promise<void> {
    const now = this.#ports.clock.now();
    if (now - this.#writtenAt < progressMs) return;
    this.#writtenAt = now;
    await this.#put({ ...this.#run, ...written(figures) });
  }

  async end(outcome: "ok" | "partial" | "failed", figures: RunFigures): Promise<void> {
    await this.#put({ ...this.#run, ...written(figures), endedAt: this.#ports.clock.now(), outcome });
  }

  async #put(run: FleetRun): Promise<void> {
    const { clock, control, logger } = this.#ports;
    const answer = await outcomeWithin(clock, controlMs, () => control.putRun(run));
    if (answer.type !== "answered")
      logger.warn("run not recorded", { run: run.id, layer: run.layer, why: answer.type });
  }
}

function written(figures: RunFigures): Pick<FleetRun, "found" | "done" | "skipped" | "failed" | "detail"> {
  const { found, done, skipped, failed } = figures;
  const detail = JSON.stringify(figures.detail);
  return { found, done, skipped, failed, detail: detail.length <= detailChars ? detail : '{"cut":true}' };
}
