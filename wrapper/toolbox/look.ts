/**
 * Every live process of one session and generation. Zombies are not alive; an exact match only, never a prefix (PHY-3).
 *
 * A sandbox that is alone in its container is told by its marks and its parents: what hides from them ends with the
 * container. In a shared one whatever runs as a member's own user is its, too; and a process that can neither be read nor
 * explained, and is not older than the member, makes the look fail: nobody may then call the member absent (I4).
 */
import { readdirSync, readFileSync } from "node:fs";
import { lookOrder, type LookReport, type ToolMember } from "../../src/protocol/toolbox.ts";
import { startTimeOf, ticksSinceBoot } from "../host/process-table.ts";
import { type Aim, type Counted, type Found, type Owner, Residue } from "../host/residue.ts";

export async function look(input: unknown): Promise<LookReport> {
  const { aim, pids, member } = lookOrder.parse(input);
  const found = await inspector(aim, member).of(aim);
  return { residue: found.map(shown), alive: pids.filter((pid) => startTimeOf(pid) !== null) };
}

export function inspector({ session }: Aim, member: ToolMember | undefined): Residue {
  // Everything can be read there, so what cannot be is not ours: nothing is doubted for having been started "since".
  if (member === undefined) return new Residue(() => Number.POSITIVE_INFINITY, null);
  const { user, instance, generation, age_ms: ageMs } = member;
  const since = ticksSinceBoot() - Math.ceil(ageMs / msPerTick);
  return new Residue(() => since, user === null ? null : ofUser(user, { session, instance, generation }));
}

export function shown(found: Found): LookReport["residue"][number] {
  return { kind: found.kind, instance: found.owner.instance, pid: found.pid };
}

/** As process-table.ts counts them. */
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

/** Real, effective, saved, of the file system: a program with the setuid bit changes some of them, and only root all. */
function usersOf(pid: number): readonly number[] {
  const users = /^Uid:\s+(.+)$/m.exec(statusOf(pid))?.[1] ?? "";
  return users.split(/\s+/).map(Number);
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch (error) {
    // It ended since its name was read.
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) return "";
    throw error;
  }
}
