/**
 * What a sandbox has inside its container: its directories, ports and users. It is alone there, or has one seat among
 * others.
 */
import type { ContainerId, SandboxId } from "../../../domain/state/ids.ts";
import { transferPort, seatPorts, type ToolMember, wrapperPort } from "../../../protocol/sandbox/toolbox.ts";
import type { JobUser } from "../../../protocol/sandbox/wrapper.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import type { Seat } from "../seats/roster.ts";

export interface SandboxLayout {
  readonly workspace: string;
  readonly wrapperPort: number;
  readonly transferPort: number;
  /** The user of its jobs, and of nobody else in the container; null: the same user as everybody. */
  readonly user: number | null;
  /** The same, as its wrapper is told it. For an unshared container: only where the container allows it. */
  readonly jobUser: JobUser | null;
}

interface Resident {
  readonly sandboxId: SandboxId;
  readonly container?: ContainerId;
}

/** null: the sandbox has no seat in that shared container, or has given it back. */
export function layoutOf(who: Resident, { records, terms }: FenceDependencies): SandboxLayout | null {
  if (who.container === undefined) {
    const { paths, loneJobUser } = terms;
    const jobUser = loneJobUser === null ? null : { ...loneJobUser, if_possible: true };
    return { workspace: paths.workspace, wrapperPort, transferPort, user: null, jobUser };
  }
  const seat = records.roster.seatOf(who.sandboxId);
  return seat === null ? null : seated(who, seat, terms);
}

export function workspaceOf({ sandboxId, container }: Resident, { terms }: Pick<FenceDependencies, "terms">): string {
  return container === undefined ? terms.paths.workspace : `${terms.paths.workspaces}/${sandboxId}`;
}

function seated(who: Resident, { number }: Seat, terms: FenceDependencies["terms"]): SandboxLayout {
  const ports = seatPorts(number);
  const user = terms.firstJobUser === null ? null : terms.firstJobUser + number;
  return {
    workspace: workspaceOf(who, { terms }),
    wrapperPort: ports.wrapper,
    transferPort: ports.transfer,
    user,
    jobUser: user === null ? null : { uid: user, gid: user },
  };
}

/**
 * How far the clocks of the object and of the container may differ, plus the time between a launch's first row and its
 * first process.
 */
const clockSlackMs = 60_000;

/** What the toolbox is told about a member; undefined: the container is that sandbox's own. */
export function memberOf(who: Resident, dependencies: FenceDependencies): ToolMember | undefined {
  if (who.container === undefined) return undefined;
  const { records, clock } = dependencies;
  const seat = records.roster.seatOf(who.sandboxId);
  const { armed } = records.sandbox(who.sandboxId);
  return {
    user: layoutOf(who, dependencies)?.user ?? null,
    instance: armed?.instanceId ?? "",
    generation: armed?.generation ?? 0,
    age_ms: seat === null ? 0 : Math.max(0, clock.now() - seat.since) + clockSlackMs,
  };
}
