/** Environments of another user's processes, read by a helper of that user: what root may not do in a container without CAP_SYS_PTRACE. */
import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { isStarting, patienceOf } from "../../../wrapper/proc/environment.ts";
import { readEnvironmentsAs, readOwner } from "../../../wrapper/proc/foreign-environments.ts";

const owner = { uid: 61_234, gid: 61_235 };
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function processOf(value: string): number {
  const child = spawn("/bin/sh", ["-c", "read _"], {
    ...owner,
    cwd: "/",
    env: { MARK: value },
    stdio: ["pipe", "ignore", "ignore"],
  });
  children.push(child);
  if (child.pid === undefined) throw new Error("no process");
  // `spawn` comes back before a busy kernel has put the environment there.
  for (const patience = patienceOf(5_000); isStarting(child.pid) && patience(););
  return child.pid;
}

describe.runIf(process.geteuid?.() === 0)("[BUG-24] as that user", () => {
  it("each environment is told for its own process, whatever it contains", () => {
    const pids = [processOf("one"), processOf("two\n3 4\n")];
    const found = readEnvironmentsAs(owner, [...pids, 2_147_000_000]);
    expect(pids.map((pid) => found.get(pid))).toEqual([
      expect.arrayContaining(["MARK=one"]),
      expect.arrayContaining(["MARK=two\n3 4\n"]),
    ]);
    expect(found.size).toBe(2);
    expect(pids.map(readOwner)).toEqual([owner, owner]);
  });

  it("a process of root shows nothing to it", () => {
    expect(readEnvironmentsAs(owner, [process.pid]).size).toBe(0);
  });
});
