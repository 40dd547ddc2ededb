/** Deletes the snapshots of a tenant that are due, and proves it: the removal is acknowledged, and then a look finds nothing. */
import { bounded, timedOut } from "../../calls/bounded-call.ts";
import { failed, type ProviderResult } from "../../domain/state/failure.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { AgentSandbox, CallBound } from "../../sandbox/agent-sandbox.ts";
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import type { TenantCore } from "../tenant-core.ts";
import type { DeletionResult } from "./snapshot-life.ts";
import type { TenantSnapshot } from "./snapshot-rows.ts";

export interface SnapshotKeeperPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly providers: { get(name: ProviderName): AgentSandbox | null };
  /** The bound of one call. */
  readonly callMs: number;
}

const atOnce = 10;

export class SnapshotKeeper {
  readonly #ports: SnapshotKeeperPorts;
  readonly #core: TenantCore;
  /** Arms the alarm for what the write leaves to be done. */
  readonly #stored: <T>(write: () => T) => Promise<T>;
  readonly #busy = new Set<string>();

  constructor(ports: SnapshotKeeperPorts, core: TenantCore, stored: <T>(write: () => T) => Promise<T>) {
    this.#ports = ports;
    this.#core = core;
    this.#stored = stored;
  }

  get due(): boolean {
    return this.#core.snapshots.due();
  }

  /** Every deletion that is due, side by side. */
  async work(): Promise<void> {
    const due = await this.#stored(() => this.#core.snapshots.takeDue(atOnce));
    await Promise.all(due.map((snapshot) => this.#delete(snapshot)));
  }

  async #delete(snapshot: TenantSnapshot): Promise<void> {
    const { id } = snapshot;
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    try {
      const result = await this.#removed(snapshot);
      await this.#stored(() => this.#core.snapshots.deletionFinished(id, result));
      if (result.type === "failed")
        this.#ports.logger.warn("a snapshot is not proven deleted yet", { snapshot: id, why: result.why });
    } catch (error) {
      // The time of the next try is stored, and the alarm stands for it.
      this.#ports.logger.error("deleting a snapshot failed", { snapshot: id, error: String(error) });
    } finally {
      this.#busy.delete(id);
    }
  }

  async #removed({ id, sessionId, provider }: TenantSnapshot): Promise<DeletionResult> {
    const snapshots = this.#ports.providers.get(provider)?.snapshots;
    if (snapshots === undefined) return { type: "failed", why: `No adapter for provider ${provider} is wired.` };
    const removed = await this.#call((bound) => snapshots.remove(sessionId, id, bound));
    if (!removed.ok) return { type: "failed", why: wordsOf("It was not removed", removed) };
    const look = await this.#call((bound) => snapshots.inspect(sessionId, id, bound));
    if (!look.ok) return { type: "failed", why: wordsOf("It was removed, and could not be looked for", look) };
    const { files, bytes, asked } = look.value;
    if (files > 0) return { type: "failed", why: `${files} files of it, ${bytes} bytes, are still there (${asked}).` };
    const evidence = `${provider} acknowledged the removal for good; then a look found no file of it (${asked}).`;
    return { type: "absent", at: this.#ports.clock.now(), evidence };
  }

  async #call<T>(send: (bound: CallBound) => Promise<ProviderResult<T>>): Promise<ProviderResult<T>> {
    const { clock, callMs } = this.#ports;
    const answer = await bounded(clock, callMs, send);
    return answer === timedOut ? failed("timed_out", `No answer within ${callMs} ms.`, "unknown") : answer;
  }
}

function wordsOf(what: string, { failure }: Extract<ProviderResult<unknown>, { ok: false }>): string {
  return `${what}: ${failure.code}: ${failure.message}`;
}
