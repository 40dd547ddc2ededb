/**
 * Every live process of one session and generation, by exact match. Zombies are not alive.
 *
 * In a container of its own, a sandbox is known by marks and parents; a process that hides from both ends with the
 * container. In a shared container every process of a member's own user belongs to it too. There a process that can
 * neither be read nor explained, and that is not older than the member, makes the look fail: the member must not be called
 * absent.
 */
import { readdirSync, readFileSync } from "node:fs";
import { lookOrder, type LookReport, type ToolMember } from "../../src/protocol/sandbox/toolbox.ts";
import { startTimeOf } from "../proc/marked-processes.ts";
import { ticksSinceBoot } from "../proc/process-table.ts";
import { type Aim, type Counted, type Found, type Owner, Residue } from "../host/processes/residue.ts";
import { isGone } from "../proc/errno.ts";

export async function look(input: unknown): Promise<LookReport> {
  const { aim, pids, member } = lookOrder.parse(input);
  const found = await inspector(aim, member).of(aim);
  return { residue: found.map(shown), alive: pids.filter((pid) => startTimeOf(pid) !== null) };
}

export function inspector({ session }: Aim, member: ToolMember | undefined): Residue {
  // Every process of this sandbox can be read there, so one that cannot be read is not its own and raises no doubt.
  if (member === undefined) return new Residue(() => Number.POSITIVE_INFINITY, null);
  const { user, instance, generation, age_ms: ageMs } = member;
  const since = ticksSinceBoot() - Math.ceil(ageMs / msPerTick);
  return new Residue(() => since, user === null ? null : ofUser(user, { session, instance, generation }));
}

export function shown(found: Found): LookReport["residue"][number] {
  return { kind: found.kind, instance: found.owner.instance, pid: found.pid };
}

/** The kernel's ticks, as proc/process-table.ts reads them. */
const msPerTick = 10;

function ofUser(user: number, owner: Owner): Counted {
  return {
    members: () =>
      readdirSync("/proc").flatMap((name) => {
        const pid = Number(name);
        return Number.isInteger(pid) && usersOf(pid).includes(user) ? [{ pid, owner }] : [];
      }),
  };
}

/** The real, effective, saved and file-system user. A setuid program changes some of them; only root changes all. */
function usersOf(pid: number): readonly number[] {
  const users = /^Uid:\s+(.+)$/m.exec(statusOf(pid))?.[1] ?? "";
  return users.split(/\s+/).map(Number);
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch (error) {
    // The process ended after its name was read.
    if (isGone(error)) return "";
    throw error;
  }
}
