/** The processes of a claim, looked for and ended. For a process that looks after its own: wrapper and guardian. */
import { endProcesses } from "./end-processes.ts";
import { membersOf, type Claim } from "./membership.ts";
import { signalProcess, ticksSinceBoot, type ProcessRow } from "./process-table.ts";
import type { TakeLook } from "./shared-look.ts";

export interface Claimed {
  readonly look: TakeLook;
  /** Asked for each look: a leader may become known, or a process may become a member, in between. */
  readonly claim: () => Claim;
}

/** null: the look failed, which does not mean "none". */
export async function membersNow({ look, claim }: Claimed): Promise<readonly ProcessRow[] | null> {
  const seen = await look();
  if (seen === null) return null;
  try {
    return membersOf(claim(), seen);
  } catch {
    return null;
  }
}

/** More looks than any process that forks as it is stopped needs: what was stopped forks no more. */
const holdLooks = 10;

/** Stops all of them where they are, also what they fork meanwhile; or lets all of them go on. false: nobody can say that all of them do. */
export async function holdClaimed(claimed: Claimed, signal: "SIGSTOP" | "SIGCONT"): Promise<boolean> {
  const signalled = new Set<string>();
  let reachedAll = false;
  for (let looks = 0; looks < holdLooks; looks += 1) {
    const members = await membersNow(claimed);
    if (members === null) continue;
    const others = members.filter(({ pid, startTime }) => !signalled.has(`${pid}.${startTime}`));
    if (others.length === 0) return true;
    reachedAll = true;
    for (const member of others) {
      try {
        signalProcess(member, signal);
        signalled.add(`${member.pid}.${member.startTime}`);
      } catch {
        // Whether the pid is still that process cannot be read: leave it alone until the next look.
        reachedAll = false;
      }
    }
  }
  // Continued processes may fork, so each look may find new ones; a new one is never stopped.
  return signal === "SIGCONT" && reachedAll;
}

/**
 * Resolves with what the first look found, and only when nothing is left, however long that takes: while a process is
 * in an uninterruptible wait, nobody may say that it is gone.
 */
export async function endClaimed(
  claimed: Claimed & { readonly clock: { now(): number }; readonly killAt: () => number },
): Promise<readonly ProcessRow[]> {
  const { found } = await endProcesses<ProcessRow>({
    clock: claimed.clock,
    killAt: claimed.killAt,
    look: () => membersNow(claimed),
    terminates: (left) => left,
    freezes: () => true,
    killForMs: Number.POSITIVE_INFINITY,
    ticks: ticksSinceBoot,
    signal: (member, signal) => {
      try {
        return signalProcess(member, signal);
      } catch {
        // Whether the pid is still that process cannot be read: leave it alone until the next look.
        return false;
      }
    },
  });
  return found;
}
