/**
 * What jobs cannot do, tried by a process that is started exactly as they are, before any of them runs: each promise that does not hold
 * here, or cannot be tried, is said in one sentence. The session shows these sentences, and so does its receipt.
 */
import { spawnSync } from "node:child_process";
import { allListeners, socketsOf, unixListeners } from "../../proc/listeners.ts";
import { readTable, readUser } from "../../proc/process-table.ts";
import { withoutCapabilities, type RunAs } from "../user/job-user.ts";

export interface JobProof {
  /** The command line in front of every job; null: the system cannot empty the bounding set, so a job only changes its user. */
  readonly prefix: readonly string[] | null;
  /** What could not be proven. Empty: all of it was. */
  readonly unproven: readonly string[];
}

export interface ProofOrder {
  readonly user: RunAs;
  /** A file that is the agent's alone. */
  readonly secretFile: string;
  /** Nobody else has processes here, so whatever runs as root and can be connected to answers the jobs of this sandbox. */
  readonly alone: boolean;
}

const probeMs = 5_000;
/** `$1`: the agent's pid; `$2`: a file of its own. A builtin each, and `cat`: any image has them. */
const script = `
cat /proc/self/status
kill -0 "$1" 2>/dev/null && echo "can signal"
[ -n "$(cat "/proc/$1/environ" 2>/dev/null | tr -d '\\0')" ] && echo "can read environment"
cat "$2" > /dev/null 2>&1 && echo "can read file"
echo "came to its end"
`;
const noCapability = "0000000000000000";
const sets = { CapInh: "inheritable", CapPrm: "permitted", CapEff: "effective", CapAmb: "ambient" } as const;

export function proveJobs(order: ProofOrder): JobProof {
  const prefix = withoutCapabilities(order.user);
  const emptied = prefix === null ? null : probed(order, prefix);
  const said = emptied ?? probed(order, null);
  return {
    prefix: emptied === null ? null : prefix,
    unproven: [...judged(said), ...(order.alone ? answeringAsRoot() : [])],
  };
}

/** null: it did not come to its end. */
function probed({ user, secretFile }: ProofOrder, prefix: readonly string[] | null): string | null {
  const [file = "/bin/sh", ...args] = [
    ...[...(prefix ?? []), "/bin/sh", "-c", script],
    ...["sh", String(process.pid), secretFile],
  ];
  const as = prefix === null ? { uid: user.uid, gid: user.gid } : {};
  const options = { ...as, cwd: "/", env: { PATH: "/usr/bin:/bin" }, timeout: probeMs, encoding: "latin1" } as const;
  try {
    const { status, stdout } = spawnSync(file, args, { ...options, stdio: ["ignore", "pipe", "ignore"] });
    return status === 0 && stdout.includes("came to its end") ? stdout : null;
  } catch {
    return null;
  }
}

/** Of what the probe wrote; null: nothing could be tried. */
export function judged(said: string | null): readonly string[] {
  if (said === null) return ["A process started as a job did not come to its end, so nothing about jobs was tried."];
  const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(said)?.[1] ?? "unknown";
  const held = Object.entries(sets).filter(([name]) => field(name) !== noCapability);
  const unproven = held.map(([name, words]) => `Jobs hold ${words} capabilities (${name} ${field(name)}).`);
  if (field("CapBnd") !== noCapability)
    unproven.push(`The bounding set of jobs is not empty (CapBnd ${field("CapBnd")}).`);
  if (field("NoNewPrivs") !== "1")
    unproven.push("A job can gain rights with a setuid program (NoNewPrivs is not set).");
  if (said.includes("can signal")) unproven.push("A job can signal the agent.");
  if (said.includes("can read environment")) unproven.push("A job can read the agent's environment.");
  if (said.includes("can read file")) unproven.push("A job can read the agent's files.");
  return unproven;
}

/** Sockets that a process of root holds open to all, but for this agent's own. What no process here holds is not in this container. */
function answeringAsRoot(): readonly string[] {
  const held = new Set<string>();
  let unseen = 0;
  for (const { pid } of readTable()) {
    if (pid === process.pid || readUser(pid) !== 0) continue;
    try {
      for (const inode of socketsOf(pid)) held.add(inode);
    } catch {
      unseen += 1;
    }
  }
  const sockets = [
    ...allListeners().map(({ inode, port }) => ({ inode, words: `port ${port}` })),
    ...unixListeners().map(({ inode, name }) => ({ inode, words: `the socket ${name}` })),
  ];
  const answers = sockets.filter(({ inode }) => held.has(inode)).slice(0, maxAnswers);
  const blind = unseen === 0 ? [] : [`What ${unseen} processes of root listen to could not be seen.`];
  return [...answers.map(({ words }) => `A process of root answers jobs at ${words}.`), ...blind];
}

const maxAnswers = 4;
