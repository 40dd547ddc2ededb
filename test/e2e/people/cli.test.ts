/** The command line as people and scripts use it: a process beside a real stack, with pipes and in a real terminal. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cli, inTerminal, startCli } from "../../support/command-line.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let tenant: Record<string, string>;
let operator: Record<string, string>;
beforeAll(async () => {
  world = await temporaryStack();
  tenant = { MOORING_URL: world.stack.url, MOORING_KEY: await world.stack.apiKey("cli") };
  operator = { MOORING_URL: world.stack.url, MOORING_ADMIN_TOKEN: world.stack.secrets.ADMIN_TOKEN };
});
afterAll(() => world.stop());

it("run gives the command's output and exit code, and its sandbox is proven gone", async () => {
  const { code, out, err } = await cli(["run", "-e", "WHO=you", "echo hello $WHO; exit 7"], tenant);
  expect([code, out]).toEqual([7, "hello you\n"]);
  expect(err).toMatch(
    /Session [a-z0-9]{20} runs.*\n.*ending\n.*proven gone \([1-9] stop attempts?, [2-9] looks found nothing\)/,
  );
  expect(await world.stack.residue()).toEqual([]);
});

it("stdin goes to the command, and --json gives one document with job and receipt", async () => {
  const piped = await cli(["run", "-i", "--", "tr", "a-z", "A-Z"], tenant, "shout");
  expect([piped.code, piped.out]).toEqual([0, "SHOUT"]);
  const { code, out, err } = await cli(["run", "--json", "--", "true"], tenant);
  expect([code, err]).toEqual([0, ""]);
  expect(JSON.parse(out)).toMatchObject({ job: { state: "succeeded" }, receipt: { phase: "closed", parked: false } });
});

it("Ctrl-C ends the session that run made, and says that it is proven gone [PEO-4]", async () => {
  const running = startCli(["run", "echo begun; sleep 600"], tenant);
  await until("the job runs", async () => running.said().includes("begun"));
  running.signal("SIGINT");
  const { code, err } = await running.ended;
  expect(code).toBe(130);
  expect(err).toContain("proven gone");
  expect(await world.stack.residue()).toEqual([]);
});

it("in a terminal: colours, a line that renews itself, Ctrl-C from the keyboard", async () => {
  const terminal = inTerminal(["run", "echo begun; sleep 600"], tenant);
  await terminal.shows(/begun/);
  expect(terminal.raw()).toContain("\u001b[");
  terminal.type("\u0003");
  expect(await terminal.ended).toBe(130);
  expect(terminal.screen()).toContain("proven gone");
  expect(await world.stack.residue()).toEqual([]);
});

it("sessions: a table for people, ids with -q, JSON for scripts; why says what to run [PEO-4]", async () => {
  const made = await cli(["api", "create-session", "--labels", "team=web", "--wait", "60"], tenant);
  const { id } = JSON.parse(made.out) as { readonly id: string };
  const listed = () => cli(["sessions", "-l", "team=web"], tenant);
  await until("the index has it", async () => (await listed()).out.includes("running"));
  const { out } = await listed();
  expect(out).toMatch(/^ID +STATUS +AGE +ENDS +PROVIDER +LABELS\n/);
  expect(out).not.toContain("\u001b");
  expect((await cli(["sessions", "-q", "-l", "team=web"], tenant)).out).toBe(`${id}\n`);
  expect(JSON.parse((await cli(["sessions", "--json", "-l", "team=web"], tenant)).out)).toMatchObject([{ id }]);
  for (const env of [tenant, operator]) {
    expect((await cli(["ls", "-q", "-l", "team=web", "--template", "base"], env)).out).toBe(`${id}\n`);
    expect((await cli(["ls", "-q", "--template", "python"], env)).out).toBe("");
  }
  expect((await cli(["sessions", "--all"], operator)).out).toMatch(new RegExp(`${id} +cli +running`));

  // In a terminal each id opens its page of the console.
  const seen = inTerminal(["sessions", "-l", "team=web"], tenant);
  expect(await seen.ended).toBe(0);
  expect(seen.raw()).toContain(`\u001b]8;;${world.stack.url}/console/sessions/${id}\u001b\\${id}`);

  const why = await cli(["why", id], tenant);
  expect(why.out).toContain("Clocks");
  expect(why.err).toContain(`/console/sessions/${id}`);

  const inside = await cli(["run", "-s", id, "echo $((6 * 7))"], tenant);
  expect([inside.code, inside.out]).toEqual([0, "42\n"]);
  await cli(["api", "delete-session", "--yes", id], tenant);
  await until("it has ended", async () => (await cli(["why", id], tenant)).out.includes("terminated"));
  // No clock runs after the end, all for one reason: it is said once.
  expect((await cli(["why", id], tenant)).out.match(/no clock runs/g)).toHaveLength(1);
});

it("exit codes are those of docs/cli.md, and every error names the next command [PEO-4]", async () => {
  const nobody = { MOORING_URL: world.stack.url };
  expect(await cli(["sessions"], nobody)).toMatchObject({
    code: 3,
    err: expect.stringMatching(/next: .*mooring login/),
  });
  expect(await cli(["sessions"], { ...nobody, MOORING_KEY: "mrg_x" })).toMatchObject({ code: 3 });
  expect(await cli(["why", "00000000000000000000"], tenant)).toMatchObject({
    code: 4,
    err: expect.stringMatching(/next: .*mooring sessions/),
  });
  expect(await cli(["sesions"], tenant)).toMatchObject({
    code: 2,
    err: expect.stringContaining("Did you mean sessions?"),
  });
  expect(await cli(["sessions"], { ...tenant, MOORING_URL: "http://127.0.0.1:9" })).toMatchObject({
    code: 7,
    err: expect.stringMatching(/next: .*mooring doctor/),
  });
  expect(await cli(["run", "-t", "1", "sleep 60"], tenant)).toMatchObject({ code: 124 });
  const onTheLine = await cli(["api", "create-session", "--task-id", `mrg_cli_${"a".repeat(30)}`], tenant);
  expect(onTheLine).toMatchObject({
    code: 2,
    err: expect.stringContaining("where every user of this machine can read it"),
  });
  expect(onTheLine.err).not.toContain("mrg_cli_a");
});

it("up, cp: files go in and out whole, with their modes; nothing half written", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mooring-cp-"));
  try {
    mkdirSync(join(folder, "app/sub"), { recursive: true });
    writeFileSync(join(folder, "app/go"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
    writeFileSync(join(folder, "app/sub/big.bin"), randomBytes(300_000));
    const up = await cli(["up", join(folder, "app"), "-q"], tenant);
    const id = up.out.trim();
    expect((await cli(["run", "-s", id, "--", "./go"], tenant)).out).toBe("ran\n");
    expect((await cli(["cp", `${id}:sub/big.bin`, join(folder, "back.bin")], tenant)).code).toBe(0);
    expect(readFileSync(join(folder, "back.bin")).equals(readFileSync(join(folder, "app/sub/big.bin")))).toBe(true);
    expect((await cli(["cp", join(folder, "app/go"), `${id}:new/dir/`], tenant)).code).toBe(0);
    expect((await cli(["run", "-s", id, "./new/dir/go"], tenant)).out).toBe("ran\n");
    expect((await cli(["cp", "-r", `${id}:sub`, join(folder, "out")], tenant)).code).toBe(0);
    expect(readFileSync(join(folder, "out/big.bin")).length).toBe(300_000);
    expect(await cli(["cp", `${id}:sub`, join(folder, "x")], tenant)).toMatchObject({
      code: 2,
      err: expect.stringContaining("is a directory"),
    });
    expect(await cli(["cp", `${id}:nothing`, join(folder, "x")], tenant)).toMatchObject({ code: 4 });
    expect(readdirSync(folder).sort()).toEqual(["app", "back.bin", "out"]);
    // Into a directory that is there: beside what it holds, under its own name.
    expect((await cli(["cp", "-r", join(folder, "app/sub"), `${id}:new`], tenant)).code).toBe(0);
    expect((await cli(["cp", join(folder, "app/go"), `${id}:new`], tenant)).code).toBe(0);
    expect((await cli(["exec", id, "cd new && find . -type f | sort"], tenant)).out).toBe(
      "./dir/go\n./go\n./sub/big.bin\n",
    );
    // No job carries it: there is no record, and no bound of a job's output.
    const { data } = JSON.parse((await cli(["api", "list-jobs", id], tenant)).out) as { data: { command: string }[] };
    expect(data.map(({ command }) => command)).toEqual(["./go", "./new/dir/go"]);
    expect(await cli(["cp", "-r", `${id}:go`, join(folder, "x")], tenant)).toMatchObject({
      code: 2,
      err: expect.stringContaining("is a file"),
    });
    expect((await cli(["end", "-y", id], tenant)).code).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
