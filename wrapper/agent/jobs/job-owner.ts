/** Which user owns the jobs, and the directories of that user. Called by the guardian before anything of the instance runs. */
import { chmodSync, mkdirSync } from "node:fs";
import { dirname, relative } from "node:path";
import type { GuardianBoot, GuardianJobUser } from "../guardian/guardian-boot.ts";
import { changeOwner } from "../user/change-owner.ts";
import { isRoot, whyClosed, whyNoJobUser, type RunAs } from "../user/job-user.ts";
import { readTable, readUser } from "../../proc/process-table.ts";

export type JobOwner =
  | { readonly type: "own"; readonly user: GuardianJobUser }
  /** `why` null: nobody asked for another. */
  | { readonly type: "ours"; readonly why: string | null }
  | { readonly type: "refused"; readonly why: string };

export function jobOwnerOf({ jobUser }: GuardianBoot): JobOwner {
  if (jobUser === null) return { type: "ours", why: null };
  const { uid, gid, ifPossible } = jobUser;
  // A number that somebody else has would make his processes ours to end.
  if (readTable().some(({ pid }) => readUser(pid) === uid))
    return { type: "refused", why: `user ${uid} runs something else already` };
  const why = whyNoJobUser({ uid, gid });
  if (why !== null) return { type: ifPossible ? "ours" : "refused", why };
  return { type: "own", user: jobUser };
}

/** A string says why they cannot be made. */
export function makeOwnedDirectories(
  { workspaceDir, stateDir }: GuardianBoot,
  owner: Exclude<JobOwner, { readonly type: "refused" }>,
): string | null {
  mkdirSync(workspaceDir, { recursive: true });
  if (owner.type === "ours") {
    // It belonged to another user, whose files may still be in it.
    const us = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
    return owner.why !== null && isRoot() ? given(workspaceDir, us) : null;
  }
  const { user } = owner;
  const owned = user.homeDir === null ? [workspaceDir] : [workspaceDir, user.homeDir];
  if (owned.some((directory) => isWithin(stateDir, directory)))
    return "state_dir is inside of what belongs to the jobs";
  // An earlier owner may have left it open to others.
  chmodSync(stateDir, 0o700);
  for (const directory of owned) {
    // What is above it is not theirs alone: an image may have no /home.
    mkdirSync(dirname(directory), { recursive: true, mode: 0o755 });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const why = given(directory, user) ?? whyClosed(user, directory);
    if (why !== null) return why;
  }
  return null;
}

function given(directory: string, to: RunAs): string | null {
  try {
    changeOwner(directory, to);
    return null;
  } catch (error) {
    return `${directory} cannot be given to user ${to.uid}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return !(way === ".." || way.startsWith("../"));
}
