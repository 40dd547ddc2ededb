/** What jobs cannot do, as their own probe tells it: each promise that does not hold is a sentence of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { judged, proveJobs } from "../../../wrapper/agent/jobs/job-proof.ts";

const directory = mkdtempSync(join(tmpdir(), "mooring-proof-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const none = "0".repeat(16);
function said(over: Readonly<Record<string, string>> = {}): string {
  const fields = { CapInh: none, CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none, NoNewPrivs: "1", ...over };
  return Object.entries(fields)
    .map(([name, value]) => `${name}:\t${value}\n`)
    .join("");
}

it("nothing is unproven of a job without capabilities that reaches nothing of the agent [CON-8]", () => {
  expect(judged(said())).toEqual([]);
});

it("each set that holds something, and each thing that could be reached, is told [CON-8]", () => {
  expect(judged(said({ CapEff: "00000000a80425fb" }))).toEqual([
    "Jobs hold effective capabilities (CapEff 00000000a80425fb).",
  ]);
  expect(judged(said({ CapBnd: "00000000a80425fb" }))).toEqual([
    "The bounding set of jobs is not empty (CapBnd 00000000a80425fb).",
  ]);
  expect(judged(said({ NoNewPrivs: "0" }))).toHaveLength(1);
  const reached = judged(`${said()}can signal\ncan read environment\ncan read file\n`);
  expect(reached).toEqual([
    "A job can signal the agent.",
    "A job can read the agent's environment.",
    "A job can read the agent's files.",
  ]);
});

it("a probe that said nothing proves nothing [CON-8]", () => {
  expect(judged(null)).toHaveLength(1);
  expect(judged("")).toHaveLength(6);
});

it.skipIf(process.getuid?.() !== 0)(
  "a probe is tried for real: what it finds differs with the file [CON-8]",
  async () => {
    const user = { uid: 61_999, gid: 61_999 };
    const secretFile = join(directory, "secret");
    writeFileSync(secretFile, "secret", { mode: 0o600 });
    const proof = proveJobs({ user, secretFile, alone: false });
    expect(proof.unproven).toEqual([]);
    expect(proof.prefix).not.toBeNull();
    // Anybody may read this one, and the way to it.
    const open = proveJobs({ user, secretFile: "/etc/passwd", alone: false });
    expect(open.unproven).toEqual(["A job can read the agent's files."]);
  },
);

it.skipIf(process.getuid?.() !== 0)("a socket that another process of root has is told [CON-8]", async () => {
  const secretFile = join(directory, "another");
  writeFileSync(secretFile, "secret", { mode: 0o600 });
  const server = spawn(process.execPath, [
    "-e",
    "require('net').createServer().listen(0,'127.0.0.1',function(){console.log(this.address().port)})",
  ]);
  const [printed] = (await once(server.stdout, "data")) as [Buffer];
  try {
    const own = createServer().listen(0, "127.0.0.1");
    await once(own, "listening");
    const { unproven } = proveJobs({ user: { uid: 61_998, gid: 61_998 }, secretFile, alone: true });
    own.close();
    // This machine may have others, of which four are named; and some that not even root may look into.
    const answers = unproven.filter((sentence) => sentence.startsWith("A process of root answers jobs at "));
    expect(answers.length).toBeGreaterThan(0);
    if (answers.length < 4)
      expect(answers).toContain(`A process of root answers jobs at port ${printed.toString().trim()}.`);
  } finally {
    server.kill();
  }
});
