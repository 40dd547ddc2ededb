import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { membersOf } from "../../../wrapper/proc/membership.ts";
import type { Look } from "../../../wrapper/proc/shared-look.ts";
import {
  identityOfChild,
  isAlive,
  readRow,
  signalProcess,
  type ProcessRow,
} from "../../../wrapper/proc/process-table.ts";

const row = (pid: number, parent: number, group: number, startTime: number, session = group): ProcessRow => ({
  pid,
  parent,
  group,
  session,
  startTime,
  name: "program",
});
const look = (
  table: readonly ProcessRow[],
  environments: ReadonlyMap<number, readonly string[]> = new Map(),
  users: ReadonlyMap<number, number> = new Map(),
): Look => ({
  table,
  environment: (pid) => environments.get(pid) ?? [],
  user: (pid) => users.get(pid) ?? null,
});
const pids = (rows: readonly ProcessRow[]): readonly number[] => rows.map(({ pid }) => pid).toSorted((a, b) => a - b);

describe("which processes belong to an instance", () => {
  it("an id that is a prefix of another never matches it, nor the other way round [PHY-3]", () => {
    const environments = new Map([
      [10, ["MOORING_INSTANCE_ID=abc"]],
      [11, ["MOORING_INSTANCE_ID=abcd"]],
      [12, ["MOORING_INSTANCE_ID=ab"]],
      [13, ["XMOORING_INSTANCE_ID=abc"]],
      [14, ["A=MOORING_INSTANCE_ID=abc"]],
    ]);
    const table = [10, 11, 12, 13, 14].map((pid) => row(pid, 1, pid, 100));
    const claim = { entries: ["MOORING_INSTANCE_ID=abc"], leaders: [], except: [], user: null };
    expect(pids(membersOf(claim, look(table, environments)))).toEqual([10]);
  });

  it("finds what lost its environment by group, by kernel session and by descent [PHY-6]", () => {
    const table = [
      row(20, 1, 20, 100),
      row(21, 1, 20, 101), // in the leader's group
      row(22, 1, 22, 102, 20), // its own group, the leader's kernel session
      row(23, 21, 23, 103), // setsid, but still a child of one of ours
      row(24, 23, 24, 104),
      row(30, 1, 30, 105), // a stranger
    ];
    const claim = { entries: ["X=1"], leaders: [{ pid: 20, startTime: 100 }], except: [], user: null };
    expect(pids(membersOf(claim, look(table)))).toEqual([20, 21, 22, 23, 24]);
  });

  it("what began before the claim is not marked by it, and its environment is not read", () => {
    const table = [row(50, 1, 50, 99), row(51, 1, 51, 100), row(52, 1, 52, 101)];
    const claim = { entries: ["X=1"], leaders: [], except: [], user: null, since: 100 };
    const read: number[] = [];
    const seen = {
      ...look(table),
      environment: (pid: number) => {
        read.push(pid);
        return ["X=1"];
      },
    };
    expect(pids(membersOf(claim, seen))).toEqual([51, 52]);
    expect(read).toEqual([51, 52]);
  });

  it("a group whose number was handed out again is a stranger's [PHY-18]", () => {
    const table = [row(20, 1, 20, 900), row(21, 20, 20, 901)];
    const claim = { entries: ["X=1"], leaders: [{ pid: 20, startTime: 100 }], except: [], user: null };
    expect(membersOf(claim, look(table))).toEqual([]);
  });

  it("never names the one who asks, nor descends through it", () => {
    const table = [row(40, 1, 40, 100), row(41, 40, 41, 101)];
    const claim = { entries: ["X=1"], leaders: [], except: [40], user: null };
    expect(membersOf(claim, look(table, new Map([[40, ["X=1"]]])))).toEqual([]);
  });
});

describe("which processes belong to an instance with a user of its own", () => {
  const table = [
    row(50, 1, 50, 100), // hid from its environment, its group and its parent
    row(51, 50, 51, 101), // its child, seen between fork and the change of user
    row(52, 1, 52, 102), // another instance's
    row(53, 1, 53, 103), // root's
  ];
  const users = new Map([
    [50, 61_000],
    [51, 0],
    [52, 61_001],
    [53, 0],
  ]);

  it("whatever runs as that user is its, however it hides, and nobody else's [PHY-14]", () => {
    const claim = { entries: ["X=1"], leaders: [], except: [], user: 61_000 };
    expect(pids(membersOf(claim, look(table, new Map(), users)))).toEqual([50, 51]);
  });

  it("a claim of the user alone does not claim whoever carries no mark", () => {
    const claim = { entries: [], leaders: [], except: [], user: 61_000 };
    expect(pids(membersOf(claim, look(table, new Map(), users)))).toEqual([50, 51]);
  });

  it("without one, no user is asked for", () => {
    const claim = { entries: ["X=1"], leaders: [], except: [], user: null };
    expect(membersOf(claim, look(table, new Map(), users))).toEqual([]);
  });
});

describe("signals", () => {
  it("a recycled pid is never signalled: the start time must be the recorded one [PHY-18]", async () => {
    const child = spawn("sleep", ["300"]);
    await once(child, "spawn");
    const identity = identityOfChild(child.pid ?? 0);
    expect(signalProcess({ pid: identity.pid, startTime: identity.startTime - 1 }, "SIGKILL")).toBe(false);
    expect(isAlive(identity)).toBe(true);
    const exited = once(child, "exit");
    expect(signalProcess(identity, "SIGKILL")).toBe(true);
    expect((await exited)[1]).toBe("SIGKILL");
    expect(isAlive(identity)).toBe(false);
  });

  it("a zombie is not alive", async () => {
    // The shell execs a program that never waits for the child it inherits.
    const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 300"]);
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const zombie = Number(line.toString());
    await expect.poll(() => readFileSync(`/proc/${zombie}/stat`, "utf8")).toContain(") Z ");
    expect(readRow(zombie)).toBeNull();
    parent.kill("SIGKILL");
    await once(parent, "exit");
  });
});
