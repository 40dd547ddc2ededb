/**
 * Calls the programs of the image through the SDK's exec: one command line, one JSON document back, within a time
 * limit.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { InstanceId } from "../../../domain/state/ids.ts";
import type { Residue } from "../../../domain/state/observation.ts";
import {
  lookReport,
  spaceReport,
  stopReport,
  type LookReport,
  type StopReport,
  type ToolMember,
} from "../../../protocol/sandbox/toolbox.ts";
import type { Clock } from "../../../runtime/clock-ids-logger.ts";
import type { Capacity } from "../../agent-sandbox.ts";
import { jsonOf, shaped, type Shape } from "../../http-reply.ts";
import type { ContainerPlatform } from "./container-platform.ts";
import { limited, type Deadline } from "./limited-call.ts";
import type { ObjectAim } from "../object-api.ts";

/** Paths in the container. The image (Dockerfile) agrees with them. */
export interface ContainerPaths {
  readonly node: string;
  readonly wrapper: string;
  readonly toolbox: string;
  /** The workspace in an unshared container. */
  readonly workspace: string;
  /** One directory per member of a shared container lies below it; no member can list its siblings. */
  readonly workspaces: string;
  /** One directory per instance lies below it. Nobody else can read it. */
  readonly state: string;
}

export const imagePaths: ContainerPaths = {
  node: "/usr/local/bin/node",
  wrapper: "/opt/mooring/wrapper.js",
  toolbox: "/opt/mooring/toolbox.js",
  workspace: "/workspace",
  workspaces: "/workspaces",
  state: "/var/lib/mooring",
};

export class Toolbox {
  readonly #platform: ContainerPlatform;
  readonly #paths: ContainerPaths;
  readonly #clock: Clock;

  constructor(platform: ContainerPlatform, paths: ContainerPaths, clock: Clock) {
    this.#platform = platform;
    this.#paths = paths;
    this.#clock = clock;
  }

  /**
   * Looks with two witnesses: the SDK's list, which forgets a process whose id was used twice, and /proc with every
   * environment, which misses a process that hides its environment. An instance that only the list shows counts while
   * its pid is alive.
   */
  async look(aim: ObjectAim, deadline: Deadline, member?: ToolMember): Promise<ProviderResult<readonly Residue[]>> {
    const listed = await limited(this.#clock, deadline.left(), false, () => this.#platform.listProcesses());
    if (!listed.ok) return listed;
    const ours = listed.value.flatMap(({ id, pid, running }) => {
      const instanceId = instanceOf(id);
      // In a shared container the list has the siblings, too.
      const meant = instanceId !== null && (member === undefined || instanceId === member.instance);
      return running && pid !== null && meant ? [{ pid, instanceId }] : [];
    });
    const order = { aim: toolAim({ ...aim, instanceId: null }), pids: ours.map(({ pid }) => pid), ...of(member) };
    const seen = await this.run("look", order, lookReport, deadline.left(), false);
    if (!seen.ok) return seen;
    const residue = seen.value.residue.map(residueOf);
    const known = new Set(residue.map(({ instanceId }) => instanceId));
    const alive = new Set(seen.value.alive);
    // The process that the list has for an instance is the shell in front of its guardian. If the guardian is seen, the
    // shell adds nothing.
    const hidden = ours.filter(({ pid, instanceId }) => alive.has(pid) && !known.has(instanceId));
    const guardians = hidden.map(({ pid, instanceId }): Residue => ({ kind: "guardian", instanceId, pid }));
    return { ok: true, value: [...residue, ...guardians] };
  }

  stop(aim: ObjectAim, graceMs: number, ms: number, member?: ToolMember): Promise<ProviderResult<StopReport>> {
    return this.run("stop", { aim: toolAim(aim), grace_ms: graceMs, ...of(member) }, stopReport, ms, true);
  }

  /** How much space there is below that directory. A failure without a code of its own says nothing about the disk. */
  async space(directory: string, ms: number): Promise<ProviderResult<Capacity>> {
    const told = await this.run("space", { directory }, spaceReport, ms, false);
    if (!told.ok) return told;
    if ("refused" in told.value) return failed(told.value.refused.code, told.value.refused.message, "none");
    return succeeded({ freeBytes: told.value.free_bytes, totalBytes: told.value.total_bytes });
  }

  async run<T>(tool: string, order: object, shape: Shape<T>, ms: number, changes: boolean): Promise<ProviderResult<T>> {
    const command = `${quoted(this.#paths.node)} ${quoted(this.#paths.toolbox)} ${tool} ${quoted(JSON.stringify(order))}`;
    const ran = await limited(this.#clock, ms, changes, () => this.#platform.exec(command, ms));
    if (!ran.ok) return ran;
    const effect = changes ? "unknown" : "none";
    const { exitCode, stdout, stderr } = ran.value;
    if (exitCode !== 0) {
      const said = stderr.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
      return failed(
        "unavailable",
        `The program "${tool}" in the container ended with code ${exitCode}: ${said || "it said nothing"}`,
        effect,
      );
    }
    return shaped(shape, jsonOf(stdout), effect);
  }
}

const processName = /^mooring-(.+)-\d+$/;

/** A process id that names its instance and is used once. */
export function processIdOf(instanceId: InstanceId, start: number): string {
  return `mooring-${instanceId}-${start}`;
}

function instanceOf(processId: string): InstanceId | null {
  return (processName.exec(processId)?.[1] as InstanceId | undefined) ?? null;
}

export function residueOf(one: LookReport["residue"][number]): Residue {
  return { kind: one.kind, instanceId: one.instance as InstanceId | null, pid: one.pid };
}

/** The order for an unshared container has no member field: an older image refuses fields that it does not know. */
function of(member: ToolMember | undefined): { readonly member?: ToolMember } {
  return member === undefined ? {} : { member };
}

export function toolAim(aim: ObjectAim): { session: string; generation: number; instance: string | null } {
  return { session: aim.sessionId, generation: aim.generation, instance: aim.instanceId };
}

/** Quoted for a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
