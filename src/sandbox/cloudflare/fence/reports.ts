/** Reads the end of the log and the resources of a sandbox. A container that does not run is not started for it. */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import { logsReport, resourcesReport } from "../../../protocol/sandbox/toolbox.ts";
import type { SandboxLogs, SandboxResources } from "../../agent-sandbox.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import { memberOf, workspaceOf } from "./sandbox-layout.ts";
import type { ObjectAim } from "../object-api.ts";
import { toolAim } from "../platform/toolbox-calls.ts";

export class Reports {
  readonly #dependencies: FenceDependencies;

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
  }

  async logs(aim: ObjectAim, tailBytes: number, timeoutMs: number): Promise<ProviderResult<SandboxLogs>> {
    const { platform, records, toolbox, terms } = this.#dependencies;
    const instanceId = aim.instanceId ?? records.sandbox(aim.sandboxId).armed?.instanceId ?? null;
    if (!platform.running() || instanceId === null)
      return failed("not_found", "The sandbox does not run, so it has no log that could be read.", "none");
    const order = { state_dir: `${terms.paths.state}/${instanceId}`, tail_bytes: tailBytes };
    const read = await toolbox.run("logs", order, logsReport, timeoutMs, false);
    return read.ok ? succeeded({ text: read.value.text, lastWrittenAgoMs: read.value.last_written_ago_ms }) : read;
  }

  async resources(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<SandboxResources>> {
    const { platform, toolbox } = this.#dependencies;
    if (!platform.running())
      return failed("not_found", "The sandbox does not run, so it uses nothing that could be measured.", "none");
    const member = memberOf(aim, this.#dependencies);
    const order = {
      aim: toolAim({ ...aim, instanceId: null }),
      workspace: workspaceOf(aim, this.#dependencies),
      ...(member === undefined ? {} : { member }),
    };
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
  }
}
