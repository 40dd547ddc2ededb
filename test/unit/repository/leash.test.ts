import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { groupMembers, type Leash, spawnLeashed } from "../../../scripts/stack/leash.ts";
import { until } from "../../support/until.ts";

const directory = mkdtempSync(join(tmpdir(), "mooring-leash-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const logFile = join(directory, "log");

function leashed(script: string, onLine: (line: string) => void = () => {}): Leash {
  const command = ["sh", "-c", script] as const;
  return spawnLeashed({ name: "x", command, env: process.env, cwd: directory, logFile, onLine, graceSeconds: 1 });
}

describe("a leash", () => {
  it("ends a tree that ignores SIGTERM, whole, when it is stopped", async () => {
    const said: string[] = [];
    const script = "trap '' TERM; sleep 600 & echo ready; while :; do sleep 1; done";
    const leash = leashed(script, (text) => said.push(text));
    await until("the tree is up", () => said.includes("ready"));
    expect(groupMembers(leash.group).length).toBeGreaterThan(2);
    await leash.stop();
    expect(groupMembers(leash.group)).toEqual([]);
    expect(leash.alive()).toBe(false);
  });

  it("says how a child ended by itself, and leaves nothing of its group", async () => {
    const leash = leashed("sleep 600 & exit 7");
    expect(await leash.ended).toBe("exit code 7");
    await leash.stop();
    expect(groupMembers(leash.group)).toEqual([]);
  });

  it("ends the tree when whoever holds it is killed without warning", async () => {
    const holder = spawn(process.execPath, [join(import.meta.dirname, "../../support/leash-holder.ts"), logFile], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    let said = "";
    holder.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const group = Number(await until("the group is known", () => /^\d+$/m.exec(said)?.[0]));
    expect(groupMembers(group).length).toBeGreaterThan(2);
    holder.kill("SIGKILL");
    await until("the group is empty", () => groupMembers(group).length === 0);
  });
});
