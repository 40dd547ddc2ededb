/**
 * The fence of one container: everything that the Sandbox object does for Mooring, over a `ContainerPlatform`.
 *
 * It owns what may start (start-gate.ts), what was armed and retired (fence-records.ts), and until when the container may stay
 * awake. It decides nothing about sessions. I6: nothing that is not armed, or is retired, ever starts here; I12: looks wake
 * and extend nothing. Whatever breaks inside is an answer with effect `unknown`, never an exception: its class would be lost.
 */
import { failed, succeeded, type ProviderResult } from "../../domain/failure.ts";
import { logsReport, resourcesReport } from "../../protocol/toolbox.ts";
import type { Launched, LaunchOrder, Retired, SandboxLogs, SandboxResources, Stopped } from "../agent-sandbox.ts";
import { Ending } from "./ending.ts";
import { type FenceParts, tombstoneMs } from "./fence-parts.ts";
import { Forwarding } from "./forwarding.ts";
import { Launching } from "./launching.ts";
import { deadlineIn } from "./limited-call.ts";
import { Looking } from "./looking.ts";
import type { ObjectAim, ObjectLook, SandboxObjectApi, WrapperCall } from "./object-api.ts";
import { Saving } from "./saving.ts";
import { StartGate } from "./start-gate.ts";
import { toolAim } from "./toolbox-calls.ts";

/** The platform's own end of an idle container comes this late at most: how often its loop looks. */
const deadManMs = 10_000;

export class Fence implements SandboxObjectApi {
  readonly #parts: FenceParts;
  readonly #gate: StartGate;
  readonly #looking: Looking;
  readonly #ending: Ending;
  readonly #saving: Saving;
  readonly #launching: Launching;
  readonly #forwarding: Forwarding;
  /** Its tables went with its rows: only the next incarnation of the object has them again. */
  #wiped = false;

  constructor(parts: FenceParts) {
    this.#parts = parts;
    this.#gate = new StartGate(parts.records, parts.clock);
    this.#looking = new Looking(parts);
    this.#ending = new Ending(parts, this.#looking);
    this.#saving = new Saving(parts);
    this.#launching = new Launching(parts, this.#gate, this.#ending, this.#saving);
    this.#forwarding = new Forwarding(parts);
  }

  /** For the shell, at every starting path. Throws what the SDK passes on. */
  refuseToStart(): void {
    const why = this.#wiped ? "Refused by the fence: everything here was erased." : this.#gate.refusal();
    if (why !== null) throw new Error(why);
  }

  launch(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>> {
    return this.#answer("launch", async () => {
      if (this.#wiped) return failed("unavailable", "This object was just erased; it is made again.", "none");
      return this.#launching.launch(order, timeoutMs);
    });
  }

  retire(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<Retired>> {
    return this.#answer("retire", async () => {
      const { records, platform } = this.#parts;
      records.retire(aim.sandboxId, aim.generation);
      await records.sync();
      // From here on no launch begins; one that is under way may just be starting its process.
      if (!(await this.#launching.settled(timeoutMs))) {
        return failed("timed_out", "A launch of it is still under way.", "unknown");
      }
      return succeeded({ host: platform.objectId, boot: records.boot });
    });
  }

  async look(aim: ObjectAim, timeoutMs: number): Promise<ObjectLook> {
    const { platform } = this.#parts;
    try {
      return await this.#looking.look(aim, timeoutMs);
    } catch (error) {
      return { host: platform.objectId, boot: "", answer: "unknown", residue: [], detail: words(error) };
    }
  }

  stopInstance(aim: ObjectAim, graceMs: number, timeoutMs: number): Promise<ProviderResult<Stopped>> {
    return this.#answer("stop", () => this.#ending.stop(aim, graceMs, timeoutMs));
  }

  destroyInstance(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<null>> {
    return this.#answer("destroy", () => {
      const { armed } = this.#parts.records.place(aim.sandboxId);
      return this.#ending.destroyGeneration(aim.generation, armed?.generation ?? null, timeoutMs);
    });
  }

  erase(aim: ObjectAim): Promise<ProviderResult<null>> {
    return this.#answer("erase", async () => {
      const { records, platform, clock } = this.#parts;
      const { retiredThrough } = records.place(aim.sandboxId);
      if (retiredThrough === null || retiredThrough < aim.generation)
        return failed("unavailable", "Only what is retired is erased.", "none");
      if (platform.running()) return failed("unavailable", "The container still runs.", "none");
      if (records.erasedAt === null) records.erase(clock.now());
      await platform.storage.setAlarm((records.erasedAt ?? clock.now()) + tombstoneMs);
      return succeeded(null);
    });
  }

  callWrapper(call: WrapperCall, timeoutMs: number): Promise<ProviderResult<Response>> {
    return this.#answer("call", () => this.#forwarding.call(call, timeoutMs));
  }

  save(aim: ObjectAim, snapshotId: string, timeoutMs: number): Promise<ProviderResult<{ readonly bytes: number }>> {
    return this.#answer("save", () => this.#saving.save(aim, snapshotId, timeoutMs));
  }

  readLogs(aim: ObjectAim, tailBytes: number, timeoutMs: number): Promise<ProviderResult<SandboxLogs>> {
    return this.#answer("logs", async () => {
      const { platform, records, toolbox, terms } = this.#parts;
      const instanceId = aim.instanceId ?? records.place(aim.sandboxId).armed?.instanceId ?? null;
      if (!platform.running() || instanceId === null) return failed("not_found", "The container does not run.", "none");
      const order = { state_dir: `${terms.paths.state}/${instanceId}`, tail_bytes: tailBytes };
      const read = await toolbox.run("logs", order, logsReport, timeoutMs, false);
      return read.ok ? succeeded({ text: read.value.text, lastWrittenAgoMs: read.value.last_written_ago_ms }) : read;
    });
  }

  readResources(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<SandboxResources>> {
    return this.#answer("resources", async () => {
      const { platform, toolbox, terms } = this.#parts;
      if (!platform.running()) return failed("not_found", "The container does not run.", "none");
      const order = { aim: toolAim({ ...aim, instanceId: null }), workspace: terms.paths.workspace };
      const read = await toolbox.run("resources", order, resourcesReport, timeoutMs, false);
      if (!read.ok) return read;
      const { processes, cpu_seconds, memory_bytes, disk_used_bytes, read_write_syscalls } = read.value;
      return succeeded({
        processes,
        cpuSeconds: cpu_seconds,
        memoryBytes: memory_bytes,
        diskUsedBytes: disk_used_bytes,
        operations: read_write_syscalls,
      });
    });
  }

  /**
   * First thing in the object's alarm. `handled`: the SDK's own alarm must not run, because everything is erased or about to be.
   * A container that nobody renewed is ended here, whatever the SDK believes: a hung call of its own counts as activity there.
   */
  async beforeAlarm(): Promise<"handled" | "go on"> {
    const { records, platform, clock } = this.#parts;
    const { erasedAt } = records;
    if (erasedAt === null) {
      await this.endIfForgotten();
      return "go on";
    }
    if (clock.now() < erasedAt + tombstoneMs) await platform.storage.setAlarm(erasedAt + tombstoneMs);
    else await this.#wipe();
    return "handled";
  }

  /** After the SDK's alarm: an object that was only looked at leaves nothing behind. */
  async afterAlarm(): Promise<void> {
    if (this.#parts.records.unused && !this.#parts.platform.running() && !this.#wiped) await this.#wipe();
  }

  /** The dead-man switch. True: the container was to be ended. */
  async endIfForgotten(): Promise<boolean> {
    const { records, platform, clock, terms, logger } = this.#parts;
    if (!platform.running()) return false;
    const { awakeUntil } = records;
    if (awakeUntil === null) {
      // It runs, and no launch of ours started it: it gets as long as any other, from now on.
      records.stayAwakeUntil(clock.now() + terms.sleepAfterMs);
      return false;
    }
    if (clock.now() < awakeUntil) return false;
    logger.warn("a container that nobody renewed is ended", { object: platform.objectId });
    await this.#ending.endContainer(deadlineIn(clock, deadManMs).left());
    return true;
  }

  async #wipe(): Promise<void> {
    this.#wiped = true;
    await this.#parts.platform.storage.wipe();
  }

  async #answer<T>(what: string, call: () => Promise<ProviderResult<T>>): Promise<ProviderResult<T>> {
    try {
      return await call();
    } catch (error) {
      this.#parts.logger.error("the fence failed", { what, error: words(error) });
      return failed("unavailable", `${what}: ${words(error)}`, "unknown");
    }
  }
}

/** For a log and an operator. */
function words(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 300);
}
