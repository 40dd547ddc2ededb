/** Starts one guardian in a running container, and waits for its wrapper's own proof. */
import type { ProviderResult } from "../../../domain/state/failure.ts";
import { wrapperHeaders, wrapperProof, type WrapperBoot } from "../../../protocol/sandbox/wrapper.ts";
import type { LaunchOrder } from "../../agent-sandbox.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import { guardianCommand } from "../sdk/guardian-command.ts";
import type { SandboxLayout } from "./sandbox-layout.ts";
import { twoLines } from "../sdk/job-user.ts";
import { deadlineIn, limited } from "../platform/limited-call.ts";
import { processIdOf } from "../platform/toolbox-calls.ts";

const calledOff = "The launch was called off, because its session ended the sandbox or its time was over.";
const readyPollMs = 100;
const knockMs = 2_000;
const maxOutputBytes = 64 * 1024 * 1024;

export class Spawning {
  readonly #dependencies: FenceDependencies;

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
  }

  /** `isCalledOff` is asked again right before the process starts. */
  async spawn(
    order: LaunchOrder,
    layout: SandboxLayout,
    starts: number,
    isCalledOff: () => boolean,
    ms: number,
  ): Promise<ProviderResult<void>> {
    const { clock, platform, terms } = this.#dependencies;
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
      workspace_dir: layout.workspace,
      state_dir: state,
      env: { ...order.env },
      max_output_bytes: maxOutputBytes,
    };
    const { jobUser } = layout;
    const full: WrapperBoot = jobUser === null ? document : { ...document, job_user: jobUser };
    const { native } = platform;
    if (native !== null) {
      return limited(clock, ms, true, (signal) => {
        if (isCalledOff()) throw new Error(calledOff);
        return native.handOver(JSON.stringify(full), signal);
      });
    }
    const hasOther = jobUser?.if_possible === true;
    const command = guardianCommand(
      {
        sessionId: order.sessionId,
        instanceId: order.instanceId,
        generation: order.generation,
        bootFile: boot,
        stateDirectory: state,
        hasOther,
        isShared: order.container !== undefined,
      },
      terms,
    );
    const env = { MOORING_PORT: String(layout.wrapperPort), MOORING_BIND: terms.address };
    return limited(clock, ms, true, async (signal) => {
      await platform.writeFile(boot, hasOther ? twoLines(full, document) : JSON.stringify(full));
      // Given up or retired while the file was written. Do not start what nobody waits for.
      if (signal.aborted || isCalledOff()) throw new Error(calledOff);
      await platform.startProcess(command, processIdOf(order.instanceId, starts), env);
    });
  }

  /** The process that listens must prove that it was given this instance's secret. */
  async isReady(order: LaunchOrder, layout: SandboxLayout, isCalledOff: () => boolean, ms: number): Promise<boolean> {
    const { clock, platform, ids } = this.#dependencies;
    const deadline = deadlineIn(clock, ms);
    while (deadline.left() > 0 && platform.running()) {
      const nonce = ids.secret().slice(0, 32);
      const answer = await limited(clock, Math.min(knockMs, deadline.left()), false, async (signal) => {
        const response = await platform.connect(layout.wrapperPort, "/health", {
          headers: { [wrapperHeaders.nonce]: nonce },
          signal,
        });
        await response.body?.cancel();
        return response.headers.get(wrapperHeaders.proof);
      });
      if (answer.ok && answer.value === (await wrapperProof(order.secret, nonce))) return true;
      if (isCalledOff()) return false;
      await clock.sleep(Math.min(readyPollMs, deadline.left()));
    }
    return false;
  }
}
