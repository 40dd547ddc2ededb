/** Starts the guardian of one instance, and waits until its wrapper listens. */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { HostLaunchOrder } from "../../../src/protocol/sandbox/host.ts";
import { markers, wrapperReady } from "../../../src/protocol/sandbox/wrapper.ts";
import { leanNodeFlags } from "../../agent/lean-node.ts";
import { readProcess, startTimeOf } from "../../proc/marked-processes.ts";
import type { Cgroups } from "../processes/cgroups.ts";
import { bootDocument } from "../records/boot-document.ts";
import type { Running } from "../records/records.ts";
import type { InstancePaths, StateDirectory } from "../records/state-directory.ts";
import { Refusal } from "../refusal.ts";

export interface GuardianOrder {
  readonly instanceId: string;
  readonly order: HostLaunchOrder;
  readonly paths: InstancePaths;
  /** The user that jobs run as; null: the host's own. */
  readonly jobUid: number | null;
}

export interface GuardianDependencies {
  readonly state: StateDirectory;
  readonly cgroups: Cgroups | null;
  readonly wrapperFile: string;
  readonly version: string;
}

/** A wrapper listens within half a second on an idle machine. A launch call takes at most 60 s, and this stays well inside it. */
const readyMs = 15_000;
const readyPollMs = 10;
/** Everything that a guardian inherits from the host. The host's token must not be in it. */
const inherited = ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/** Synchronous. Answers the guardian's pid. */
export function spawnGuardian(
  dependencies: GuardianDependencies,
  { instanceId, order, paths, jobUid }: GuardianOrder,
): number {
  const sandbox = dependencies.state.sandbox(order.sandbox_id);
  const out = openSync(paths.ready, "w", 0o600);
  const log = openSync(paths.log, "a", 0o600);
  try {
    const guardian = spawn(process.execPath, [...leanNodeFlags, dependencies.wrapperFile, "guardian"], {
      cwd: sandbox.workspace,
      // In a kernel session of its own, so that a Ctrl-C in the host's terminal does not reach it.
      detached: true,
      stdio: ["pipe", out, log],
      env: {
        ...Object.fromEntries(
          inherited.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
        ),
        [markers.session]: order.session_id,
        [markers.instance]: instanceId,
        [markers.generation]: String(order.generation),
        [markers.version]: dependencies.version,
        [markers.role]: "guardian",
      },
    });
    guardian.on("error", () => {}); // It has no pid then, which is told below.
    guardian.stdin?.on("error", () => {}); // It ended before it read. The wait for the wrapper notices.
    // The guardian starts nothing before it has read its boot document, so everything it starts is in the group.
    const owner = { session: order.session_id, generation: order.generation, instance: instanceId };
    if (guardian.pid !== undefined) dependencies.cgroups?.enter(owner, guardian.pid);
    // Through a pipe: the document holds the secret, and a file could outlive a start that failed.
    guardian.stdin?.end(JSON.stringify(bootDocument(instanceId, order, sandbox, paths.state, jobUid)));
    guardian.unref();
    if (guardian.pid === undefined) throw new Refusal("launch_failed", `${process.execPath} cannot be started.`);
    return guardian.pid;
  } finally {
    closeSync(out);
    closeSync(log);
  }
}

/** null: the guardian ended, or its wrapper did not listen in time, or another process has the wrapper's pid. */
export async function untilWrapperListens(
  instanceId: string,
  guardianPid: number,
  paths: InstancePaths,
): Promise<Running | null> {
  const guardianStart = startTimeOf(guardianPid);
  const until = performance.now() + readyMs;
  while (performance.now() < until && guardianStart !== null && startTimeOf(guardianPid) === guardianStart) {
    const [line, rest] = readFileSync(paths.ready, "utf8").split("\n");
    if (line !== undefined && rest !== undefined) {
      const ready = wrapperReady.parse(JSON.parse(line));
      const wrapper = readProcess(ready.wrapper_pid);
      if (wrapper === null || typeof wrapper.marks === "string" || wrapper.marks.instance !== instanceId) return null;
      return {
        guardian: { pid: guardianPid, startTime: guardianStart },
        wrapper: { pid: ready.wrapper_pid, startTime: wrapper.startTime },
        url: `http://127.0.0.1:${ready.port}`,
      };
    }
    await pause(readyPollMs);
  }
  return null;
}

/** The end of the guardian's log, for the refusal of a launch that failed. */
export function lastWords({ log }: InstancePaths): string {
  try {
    return readFileSync(log, "utf8").trim().split("\n").slice(-3).join(" | ").slice(-500) || "it said nothing";
  } catch {
    return "it said nothing";
  }
}
