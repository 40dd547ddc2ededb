/**
 * Which processes belong to a claim (an instance, or one job). Pure over one look at the table.
 *
 * Three nets, each catching what slips the others: the exact marker in the environment (catches setsid and double
 * forks), the group and kernel session of a known leader (catches `env -i`), descent from a member (catches both at
 * once while the parent lives). A process that escapes all three (`env -i`, then setsid and a double fork) needs a
 * container, or a fourth net: where an instance has a user of its own, every process of that user is a member, because no
 * job can change its user.
 */
import type { ProcessIdentity, ProcessRow } from "./process-table.ts";
import type { Look } from "./shared-look.ts";

export interface Claim {
  /** Whole environment entries, `NAME=value`: each must be there exactly, never as a prefix. With none, no process counts as marked. */
  readonly entries: readonly string[];
  /** Leaders of groups that this claim started. */
  readonly leaders: readonly ProcessIdentity[];
  /** Pids that are never members, such as that of the caller. */
  readonly except: readonly number[];
  /** A user that runs only processes of this claim; null: there is no such user. */
  readonly user: number | null;
  /** Clock ticks since boot. Nothing that began earlier is marked, so its environment is not read; absent: it may be. */
  readonly since?: number;
}

export function membersOf(claim: Claim, { table, environment, user }: Look): ProcessRow[] {
  const byPid = new Map(table.map((row) => [row.pid, row]));
  // A group's number is not handed out again while it has members. When its leader's pid now belongs to another
  // process, the group had died out, and today's group of that number is a stranger's.
  const groups = new Set(
    claim.leaders
      .filter((leader) => (byPid.get(leader.pid)?.startTime ?? leader.startTime) === leader.startTime)
      .map((leader) => leader.pid),
  );
  const isMarked = (row: ProcessRow): boolean => {
    if (claim.entries.length === 0 || row.startTime < (claim.since ?? 0)) return false;
    const entries = environment(row.pid);
    return claim.entries.every((entry) => entries.includes(entry));
  };
  const members = new Map<number, ProcessRow>();
  for (const row of table) {
    if (claim.except.includes(row.pid)) continue;
    const isOurUsers = claim.user !== null && user(row.pid) === claim.user;
    if (isOurUsers || groups.has(row.group) || groups.has(row.session) || isMarked(row)) members.set(row.pid, row);
  }
  for (let grew = members.size > 0; grew;) {
    grew = false;
    for (const row of table) {
      if (members.has(row.pid) || claim.except.includes(row.pid) || !members.has(row.parent)) continue;
      members.set(row.pid, row);
      grew = true;
    }
  }
  return [...members.values()];
}
