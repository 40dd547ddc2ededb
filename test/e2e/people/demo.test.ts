/**
 * The demo as its user runs it, in a temporary directory of its own: whatever has that directory in its environment,
 * command line or working directory was started by it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import { processesOf } from "../../support/leftovers.ts";
import { until } from "../../support/until.ts";

interface Run {
  readonly child: ChildProcess;
  readonly directory: string;
  readonly ended: Promise<number | null>;
  said(): string;
}

/** What a stack has to come up in, on a machine that is busy with something else (scripts/stack/stack.ts), and its first session. */
const upMs = 240_000;
const storyMs = 600_000;

const runs: Run[] = [];
afterEach(async () => {
  for (const run of runs.splice(0)) {
    run.child.kill("SIGTERM");
    await run.ended;
    rmSync(run.directory, { recursive: true, force: true });
  }
});

function demo(flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Run {
  const directory = mkdtempSync(join(tmpdir(), "mooring-demo-test-"));
  const child = spawn("node", ["scripts/demo/demo.ts", ...flags], {
    cwd: repository,
    env: toolEnvironment({ TMPDIR: directory, NO_COLOR: "1", ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
  const run = { child, directory, ended, said: () => said };
  runs.push(run);
  return run;
}

it(
  "the README's first command tells the whole story with a receipt for each session, and leaves no process and no file [API-15] [PEO-6]",
  { timeout: storyMs },
  async () => {
    // What a new user is told to type is what runs here.
    const readme = readFileSync(join(repository, "README.md"), "utf8");
    expect(readme).toContain("npm ci && npm run demo");
    const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    expect(scripts["demo"]).toContain("scripts/demo/demo.ts");
    let run = demo();
    let code = await run.ended;
    // Its clocks are made for a machine with nothing else to do. Where others keep this one busy, it says so, and what to type instead.
    if (run.said().includes("npm run demo -- --patient")) {
      expect(code).toBe(1);
      run = demo(["--patient"]);
      code = await run.ended;
    }
    expect(run.said()).toContain("Everything held.");
    expect(code).toBe(0);
    expect(run.said().match(/verified absent │ \d\d:\d\d:\d\d/g)).toHaveLength(2);
    expect(run.said()).toContain("idle_timeout");
    for (const reached of ["42 from a terminal", "served from a sandbox", "written and read back"])
      expect(run.said()).toContain(reached);
    expect(run.said()).toContain("0 processes.");
    expect(processesOf(run.directory)).toEqual([]);
    expect(readdirSync(run.directory)).toEqual([]);
  },
);

it(
  "leaves no process and no file after Ctrl-C in the middle of a job, also when it is pressed twice [API-15]",
  { timeout: storyMs },
  async () => {
    const run = demo(["--patient"]);
    await until("the first job writes", () => run.said().includes("step 2 of 5"), upMs);
    expect(processesOf(run.directory).length).toBeGreaterThan(4);
    run.child.kill("SIGINT");
    run.child.kill("SIGINT");
    expect(await run.ended).toBe(130);
    expect(processesOf(run.directory)).toEqual([]);
    expect(readdirSync(run.directory)).toEqual([]);
  },
);

it(
  "says so, exits 1 and leaves no process when the host dies in the middle of a job",
  { timeout: storyMs },
  async () => {
    const run = demo(["--patient"]);
    await until("the first job writes", () => run.said().includes("step 2 of 5"), upMs);
    const host = processesOf(run.directory).find(
      (each) => each.includes("wrapper/host/main.ts") && !each.includes("leash"),
    );
    process.kill(Number(host?.split(" ")[0]), "SIGKILL");
    expect(await run.ended).toBe(1);
    expect(run.said()).toContain("The local sandbox host ended by itself");
    expect(processesOf(run.directory)).toEqual([]);
    expect(readdirSync(run.directory)).toEqual([]);
  },
);

it(
  "with --open it says where the console shows the story, signed in, and ends by itself where nobody can press Ctrl-C",
  { timeout: storyMs },
  async () => {
    // No display: there is no browser that could be opened.
    const run = demo(["--open", "--patient"], { DISPLAY: "", WAYLAND_DISPLAY: "" });
    const address = await until(
      "the console's address is told",
      () => /Open the console within a minute: (\S+)/.exec(run.said())?.[1] ?? null,
      upMs,
    );
    const { origin, pathname, hash } = new URL(address);
    expect([pathname, (await fetch(`${origin}${pathname}`)).status]).toEqual(["/console/login", 200]);
    const exchanged = await fetch(`${origin}/console/login`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-mooring-console": "1", origin },
      body: JSON.stringify({ ticket: hash.slice(1) }),
    });
    expect(exchanged.headers.getSetCookie().join()).toContain("mooring_tenant=");
    const code = await run.ended;
    // What it said tells why, should it have ended otherwise.
    expect(run.said()).toContain("Everything held.");
    expect(code).toBe(0);
    expect(readdirSync(run.directory)).toEqual([]);
  },
);
