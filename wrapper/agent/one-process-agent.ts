/**
 * The agent of a sandbox that has its container for itself: guardian and wrapper in one process.
 *
 * PID 1 is a shell that the Worker brought along (src/sandbox/cloudflare/native/entrypoint.ts). It ends the container when this process ends,
 * and at the deadline that this process writes down. So nothing has to outlive this process to clean up: what a job leaves goes with the
 * container.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { agentPaths } from "../../src/protocol/sandbox/agent-paths.ts";
import { exitCodes } from "./exit-codes.ts";
import { ensureAgentUser } from "./user/agent-user.ts";
import { homeInWorkspace } from "./user/home-in-workspace.ts";
import { parseGuardianBoot } from "./guardian/guardian-boot.ts";
import type { TellGuardian } from "./guardian/guardian-link.ts";
import { readBoot } from "./guardian/guardian.ts";
import { jobOwnerOf, makeOwnedDirectories } from "./jobs/job-owner.ts";
import { boundedLog } from "./bounded-log.ts";
import { steadyClock } from "./steady-clock.ts";
import { parseBoot, serveInstance } from "./wrapper.ts";

/** PID 1's child looks once a second, and reads whole seconds. */
const watchMs = 1_000;

export async function runOneProcessAgent(): Promise<void> {
  const clock = steadyClock();
  const startedAt = clock.now();
  const document = withUser(await readBoot());
  const guardian = parseGuardianBoot(document, process.env);
  if (typeof guardian === "string") return refuse(exitCodes.badBoot, guardian);
  if (Date.now() > guardian.launchNotAfter) return refuse(exitCodes.late, "launch_not_after has passed");
  mkdirSync(guardian.stateDir, { recursive: true, mode: 0o700 });
  const owner = jobOwnerOf(guardian);
  if (owner.type === "refused") return refuse(exitCodes.badBoot, owner.why);
  const problem = makeOwnedDirectories(guardian, owner);
  if (problem !== null) return refuse(exitCodes.badBoot, problem);
  // Only after makeOwnedDirectories: it gives away real directories, and must not meet the link that this makes.
  const home = owner.type === "own" ? owner.user.homeDir : null;
  if (home !== null) homeInWorkspace(home, guardian.workspaceDir);
  const boot = parseBoot(document);
  if (boot === null) process.exit(exitCodes.badBoot);
  const log = boundedLog(boot.state_dir, "guardian");
  if (owner.type === "ours") log("jobs have no user of their own", { why: owner.why });
  const { job_user: user, ...rest } = boot;
  const tell = deadlineFile(boot.stop_grace_ms);
  // PID 1 is a few lines of shell: it can only go with the whole container.
  const guardianGone = new Promise<void>(() => {});
  const isOwn = owner.type === "own" && user !== undefined;
  const whoseWords = isOwn
    ? {}
    : { sharesUser: owner.type === "ours" && owner.why !== null ? owner.why : "none was asked for" };
  await serveInstance({ boot: isOwn ? boot : rest, clock, startedAt, tell, guardianGone, alone: true, ...whoseWords });
}

/** The image knows which number the user of agents' programs has, or gets that user now. */
function withUser(document: string): string {
  let order: unknown;
  try {
    order = JSON.parse(document);
  } catch {
    return document;
  }
  if (typeof order !== "object" || order === null || !("job_user" in order)) return document;
  const { uid, gid, home } = ensureAgentUser("/etc");
  return JSON.stringify({ ...order, job_user: { uid, gid, home_dir: home, if_possible: true } });
}

function refuse(code: number, why: string): never {
  process.stderr.write(`mooring agent: not started: ${why}\n`);
  process.exit(code);
}

/** Moves the deadline at which PID 1 ends the container. A frozen agent had its grace until then. */
function deadlineFile(stopGraceMs: number): TellGuardian {
  const draft = `${agentPaths.deadline}.draft`;
  const write = (at: number): void => {
    writeFileSync(draft, `${Math.max(0, Math.floor(at / 1_000))}\n`);
    renameSync(draft, agentPaths.deadline);
  };
  return (news) => {
    if (news.type === "deadline") write(news.at + stopGraceMs - watchMs);
    else if (news.type === "ending") write(news.by + stopGraceMs);
  };
}
