/**
 * Launches: one wrapper per instance however often it is asked, and none that is retired, late, or would share a sandbox id with
 * another instance (I6, PHY-9, PHY-10, PHY-15).
 *
 * One after another (input gates do not hold across the SDK's awaits). The order inside one is: refuse, arm durably, start the
 * container, refuse again, bring in the files, refuse again, start the guardian, wait for the wrapper's own proof. What
 * fails after the container was started ends the container, and says `none` only when it saw that nothing runs.
 */
import { failed, succeeded, type ProviderResult } from "../../domain/failure.ts";
import { wrapperPort } from "../../protocol/toolbox.ts";
import { wrapperHeaders, wrapperProof, type WrapperBoot } from "../../protocol/wrapper.ts";
import type { Launched, LaunchOrder } from "../agent-sandbox.ts";
import type { Ending } from "./ending.ts";
import type { FenceParts } from "./fence-parts.ts";
import { guardianCommand } from "./guardian-command.ts";
import { deadlineIn, limited, type Deadline } from "./limited-call.ts";
import type { KeptFiles, Saving } from "./saving.ts";
import type { StartGate } from "./start-gate.ts";
import { processIdOf } from "./toolbox-calls.ts";

/** Cold start to first exec took 0.7 to 1.7 s where measured; the rest is for a slow placement and an image pull. */
const startMs = 35_000;
/** A wrapper listens within half a second on one whole core. */
const readyMs = 15_000;
/** Of the launch's own time, kept for ending what it started; never more than a quarter. */
const abandonMs = 4_000;
const readyPollMs = 100;
const maxOutputBytes = 64 * 1024 * 1024;
/** The longest that a launch may take, its own retries included. */
export const launchRetriesMs = startMs + readyMs + abandonMs;

export class Launching {
  readonly #parts: FenceParts;
  readonly #gate: StartGate;
  readonly #ending: Ending;
  readonly #saving: Saving;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: FenceParts, gate: StartGate, ending: Ending, saving: Saving) {
    this.#parts = parts;
    this.#gate = gate;
    this.#ending = ending;
    this.#saving = saving;
  }

  launch(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>> {
    const kept = Math.min(abandonMs, timeoutMs / 4);
    const deadline = deadlineIn(this.#parts.clock, timeoutMs - kept);
    const mine = this.#last.then(() => this.#launch(order, deadline));
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** Until no launch is under way; false: not within that time. */
  async settled(ms: number): Promise<boolean> {
    const done = new AbortController();
    const late = this.#parts.clock.sleep(ms, done.signal).then(() => false);
    const answer = await Promise.race([this.#last.then(() => true), late]);
    done.abort();
    return answer;
  }

  async #launch(order: LaunchOrder, deadline: Deadline): Promise<ProviderResult<Launched>> {
    const { records, platform } = this.#parts;
    const refusal = this.#refusal(order);
    if (refusal !== null) return refusal;
    const known = records.place(order.sandboxId).armed;
    // A repeat learns what the first one did, even when that has ended since: an instance runs once.
    if (known?.ready === true) return succeeded(this.#launched());
    if (deadline.left() === 0) return failed("timed_out", "Earlier launches took all its time.", "none");
    const files =
      order.restore === undefined ? null : await this.#saving.find(order.sessionId, order.restore, deadline);
    if (files !== null && !files.ok) return files;
    if (platform.running()) {
      const taken = await this.#taken(order, deadline);
      if (taken !== null) return taken;
    }
    const { sessionId, generation, instanceId } = order;
    const starts = (known?.starts ?? 0) + 1;
    records.arm(order.sandboxId, { sessionId, generation, instanceId, ready: false, starts });
    records.stayAwakeUntil(this.#parts.clock.now() + this.#parts.terms.sleepAfterMs);
    await records.sync();
    const launched = await this.#bringUp(order, starts, files?.value ?? null, deadline);
    if (launched.ok) return launched;
    return (await this.#ending.endContainer(abandonMs))
      ? { ok: false, failure: { ...launched.failure, effect: "none" } }
      : launched;
  }

  async #bringUp(
    order: LaunchOrder,
    starts: number,
    files: KeptFiles | null,
    deadline: Deadline,
  ): Promise<ProviderResult<Launched>> {
    const { clock, platform } = this.#parts;
    const startWithin = Math.min(startMs, deadline.left());
    const started = await this.#gate.during(order, () =>
      limited(clock, startWithin, true, (signal) => platform.start(startWithin, signal)),
    );
    if (!started.ok) return this.#refusal(order) ?? started;
    if (files !== null) {
      const restored = await this.#saving.restore(order, files, deadline.left());
      if (!restored.ok) return restored;
    }
    const spawned = await this.#spawn(order, starts, deadline.left());
    // Retired meanwhile, or too late: whatever was started goes again.
    const refusal = this.#refusal(order);
    if (refusal !== null) return refusal;
    if (!spawned.ok) return spawned;
    const ready = await this.#ready(order, Math.min(readyMs, deadline.left()));
    if (!ready) return failed("unavailable", "The wrapper did not come up in time.", "unknown");
    const retired = this.#refusal(order);
    if (retired !== null) return retired;
    const { sessionId, generation, instanceId } = order;
    this.#parts.records.arm(order.sandboxId, { sessionId, generation, instanceId, ready: true, starts });
    return succeeded(this.#launched());
  }

  #launched(): Launched {
    return { host: this.#parts.platform.objectId, boot: this.#parts.records.boot };
  }

  #refusal(order: LaunchOrder): Extract<ProviderResult<never>, { ok: false }> | null {
    const { records, clock } = this.#parts;
    const { armed, retiredThrough } = records.place(order.sandboxId);
    if (records.erasedAt !== null || (retiredThrough !== null && order.generation <= retiredThrough)) {
      return failed("refused_retired", `Sandbox ${order.sandboxId} is retired.`, "none");
    }
    if (armed !== null && (armed.instanceId !== order.instanceId || armed.generation !== order.generation)) {
      const whom = `instance ${armed.instanceId} of generation ${armed.generation}`;
      return failed("foreign_instance", `Sandbox ${order.sandboxId} serves ${whom}.`, "none");
    }
    if (armed?.ready !== true && clock.now() > order.launchNotAfter) {
      return failed("refused_late", `It came ${clock.now() - order.launchNotAfter} ms after launchNotAfter.`, "none");
    }
    return null;
  }

  /**
   * The container runs although no launch of ours is done: a crash cut one short, somebody else is in it, or a start of long ago
   * came late. null: nothing of ours is in the way.
   */
  async #taken(order: LaunchOrder, deadline: Deadline): Promise<ProviderResult<Launched> | null> {
    const seen = await this.#parts.toolbox.look(order, deadline);
    if (!seen.ok)
      return failed("unavailable", `Who is in the container cannot be told: ${seen.failure.message}`, "none");
    const foreign = seen.value.find(({ instanceId }) => instanceId !== order.instanceId);
    if (foreign !== undefined) {
      const who = `Process ${foreign.pid ?? "?"} of instance ${foreign.instanceId ?? "(legacy)"}`;
      return failed("foreign_instance", `${who} is in the container.`, "none");
    }
    if (seen.value.length === 0) return null;
    if (await this.#ready(order, Math.min(readyMs, deadline.left()))) {
      const { sessionId, generation, instanceId } = order;
      const starts = this.#parts.records.place(order.sandboxId).armed?.starts ?? 1;
      this.#parts.records.arm(order.sandboxId, { sessionId, generation, instanceId, ready: true, starts });
      return succeeded(this.#launched());
    }
    // Of this very instance, and it does not come up: the next start must find nothing of it.
    if (await this.#ending.endContainer(Math.min(abandonMs, deadline.left()))) return null;
    return failed("unavailable", "An earlier start of this instance is stuck in the container.", "unknown");
  }

  async #spawn(order: LaunchOrder, starts: number, ms: number): Promise<ProviderResult<void>> {
    const { clock, platform, terms } = this.#parts;
    const { paths } = terms;
    const state = `${paths.state}/${order.instanceId}`;
    const boot = `${paths.state}/${order.instanceId}.${starts}.boot`;
    const document: WrapperBoot = {
      session_id: order.sessionId,
      instance_id: order.instanceId,
      generation: order.generation,
      secret: order.secret,
      launch_not_after: order.launchNotAfter,
      lease_ttl_ms: order.leaseTtlMs,
      job_grace_ms: order.jobGraceMs,
      stop_grace_ms: order.stopGraceMs,
      workspace_dir: paths.workspace,
      state_dir: state,
      env: { ...order.env },
      max_output_bytes: maxOutputBytes,
    };
    const command = guardianCommand(
      {
        sessionId: order.sessionId,
        instanceId: order.instanceId,
        generation: order.generation,
        bootFile: boot,
        stateDirectory: state,
      },
      terms,
    );
    const env = { MOORING_PORT: String(wrapperPort), MOORING_BIND: terms.address };
    return limited(clock, ms, true, async (signal) => {
      await platform.writeFile(boot, JSON.stringify(document));
      // Given up, or retired, while the file was written: a start that nobody waits for must not happen.
      if (signal.aborted || this.#refusal(order) !== null) throw new Error("The launch was called off.");
      await platform.startProcess(command, processIdOf(order.instanceId, starts), env);
    });
  }

  /** Whoever listens must prove that he was given this instance's secret (PHY-17). */
  async #ready(order: LaunchOrder, ms: number): Promise<boolean> {
    const { clock, platform, ids } = this.#parts;
    const deadline = deadlineIn(clock, ms);
    while (deadline.left() > 0 && platform.running()) {
      const nonce = ids.secret().slice(0, 32);
      const answer = await limited(clock, Math.min(2_000, deadline.left()), false, async (signal) => {
        const response = await platform.connect(wrapperPort, "/health", {
          headers: { [wrapperHeaders.nonce]: nonce },
          signal,
        });
        await response.body?.cancel();
        return response.headers.get(wrapperHeaders.proof);
      });
      if (answer.ok && answer.value === (await wrapperProof(order.secret, nonce))) return true;
      if (this.#refusal(order) !== null) return false;
      await clock.sleep(Math.min(readyPollMs, deadline.left()));
    }
    return false;
  }
}
