/** What is read of a process in the middle of exec, which a busy machine keeps there for longer. The files stand as such a kernel shows them. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isStarting, patienceOf, readEnvironmentText } from "../../../wrapper/proc/environment.ts";

const pid = 4_711;
let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "mooring-proc-"));
});

afterEach(() => {
  rmSync(proc, { recursive: true });
});

function shows(files: { readonly environ: string; readonly cmdline: string; readonly statm: string }): void {
  mkdirSync(join(proc, String(pid)), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(proc, String(pid), name), text);
}

const inExec = { environ: "", cmdline: "", statm: "33 0 0 0 0 33 0\n" };
const withMark = { environ: "MARK=1\0", cmdline: "sh\0", statm: "660 24 24 20 0 90 0\n" };
const never = (): boolean => false;

describe("an empty environment", () => {
  it("is read again until the process has one: the middle of exec is no process without marks", () => {
    shows(inExec);
    let waits = 0;
    const read = readEnvironmentText(
      pid,
      () => {
        waits += 1;
        if (waits === 3) shows(withMark);
        return true;
      },
      proc,
    );
    expect(read).toEqual({ text: "MARK=1\0" });
    expect(waits).toBe(3);
  });

  it("is unknown, not empty, when the process stays in the middle of exec", () => {
    shows(inExec);
    expect(readEnvironmentText(pid, patienceOf(3), proc)).toEqual({ unread: "starting" });
  });

  it("is what it is where the process has a command line, is a kernel's thread, or is gone", () => {
    shows({ ...inExec, cmdline: "sleep\0" });
    expect(readEnvironmentText(pid, never, proc)).toEqual({ text: "" });
    shows({ ...inExec, statm: "0 0 0 0 0 0 0\n" });
    expect(readEnvironmentText(pid, never, proc)).toEqual({ text: "" });
    expect(readEnvironmentText(pid + 1, never, proc)).toEqual({ text: "" });
  });
});

describe("patience", () => {
  it("is one for all that are looked at: it ends after its whole time", () => {
    const patience = patienceOf(2);
    expect([patience(), patience(), patience(), patience()]).toEqual([true, true, false, false]);
  });
});

describe("a process of this machine", () => {
  it("that cleared its environment has none, and has started", async () => {
    const child = spawn("/bin/sh", ["-c", "read _"], { env: {}, stdio: ["pipe", "ignore", "ignore"] });
    try {
      const id = child.pid ?? 0;
      await expect.poll(() => isStarting(id)).toBe(false);
      expect(readEnvironmentText(id, never)).toEqual({ text: "" });
    } finally {
      child.kill("SIGKILL");
    }
  });
});
