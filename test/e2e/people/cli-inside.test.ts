/** The command line inside a sandbox: programs, terminals and ports, as a process and in a real terminal (a PTY). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../../scripts/stack/ports.ts";
import { cli, inTerminal } from "../../support/command-line.ts";
import { serverProgram } from "../../support/sandbox-server.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let tenant: Record<string, string>;
let id: string;
beforeAll(async () => {
  world = await temporaryStack();
  tenant = { MOORING_URL: world.stack.url, MOORING_KEY: await world.stack.apiKey("cli") };
  const made = await cli(["api", "create-session", "--wait", "60", "--idle-timeout-seconds", "3600"], tenant);
  id = (JSON.parse(made.out) as { readonly id: string }).id;
});
afterAll(() => world.stop());

it("exec: two outputs apart, the program's exit code, stdin to its end [PEO-1]", async () => {
  const apart = await cli(["exec", "-e", "WHO=you", id, "echo to $WHO; echo beside >&2; exit 9"], tenant);
  expect(apart).toEqual({ code: 9, out: "to you\n", err: "beside\n" });
  const piped = await cli(["exec", "-i", id, "--", "tr", "a-z", "A-Z"], tenant, "shout\n");
  expect([piped.code, piped.out]).toEqual([0, "SHOUT\n"]);
  const refused = await cli(["exec", "-t", id, "--", "sh"], tenant);
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining("There is no terminal here") });
  const unknown = await cli(["exec", "00000000000000000000", "--", "true"], tenant);
  expect(unknown).toMatchObject({ code: 4, err: expect.stringContaining("next: ") });
});

it("exec -it: keys, colours and the size go through; Ctrl-C is the program's; its exit code comes back [PEO-1]", async () => {
  const terminal = inTerminal(["exec", "-it", id, "--", "sh", "-i"], tenant);
  await terminal.shows(/[$#] $/);
  terminal.type("stty size; printf '\\033[31mred\\033[0m\\n'; echo $((6*7))\r");
  await terminal.shows(/40 120\n/);
  await terminal.shows(/\n42\n/);
  expect(terminal.raw()).toContain("\u001b[31mred");
  // It runs for certain before the key comes: the shell itself passes over Ctrl-C.
  terminal.type("sh -c 'echo begun-$((1+1)); exec sleep 600'\r");
  await terminal.shows(/begun-2/);
  terminal.type("\u0003");
  terminal.type("echo alive-$((1+1))\r");
  await terminal.shows(/alive-2/);
  terminal.type("exit 5\r");
  expect(await terminal.ended).toBe(5);
});

it("attach: left with a key it goes on, and is there when one comes back [PEO-1]", async () => {
  const first = inTerminal(["attach", id], tenant);
  await first.shows(/[$#] $/);
  first.type("KEPT=here; echo set-$((1+1))\r");
  await first.shows(/set-2/);
  first.type("\u001d");
  expect(await first.ended).toBe(0);
  const [, pid = ""] = /mooring attach [a-z0-9]{20} (\d+)/.exec(first.screen()) ?? [];
  const second = inTerminal(["attach", id, pid], tenant);
  // What it showed before is shown again.
  await second.shows(/set-2/);
  second.type("echo still-$KEPT; exit\r");
  await second.shows(/still-here/);
  expect(await second.ended).toBe(0);
});

it("up opens a terminal in a session with the directory's files", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mooring-up-"));
  try {
    writeFileSync(join(folder, "note.txt"), "from home\n");
    const up = inTerminal(["up", folder, "--idle", "10m"], tenant);
    await up.shows(/[$#] $/);
    up.type("cat note.txt; exit 3\r");
    await up.shows(/from home/);
    expect(await up.ended).toBe(3);
    const [, made = ""] = /mooring end ([a-z0-9]{20})/.exec(up.screen()) ?? [];
    expect((await cli(["end", "-y", made], tenant)).code).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it("ports: lists who listens, and makes an address that opens it [PEO-1]", async () => {
  const port = (await freePort(0)) ?? 0;
  await cli(["run", "-d", "-s", id, "-e", `PORT=${port}`, "--", "node", "-e", serverProgram], tenant);
  await until("it listens", async () => (await cli(["ports", "list", "-q", id], tenant)).out === `${port}\n`);
  expect((await cli(["ports", "list", id], tenant)).out).toMatch(new RegExp(`^PORT +PROGRAM +PID\\n${port} `));
  const opened = await cli(["ports", "open", id, String(port)], tenant);
  const { hostname, port: outside, pathname, search } = new URL(opened.out.trim());
  expect(hostname).toBe(`${port}-${id}.localhost`);
  const answer = await fetch(`http://127.0.0.1:${outside}${pathname}bytes/3${search}`, { redirect: "manual" });
  // By its address alone, without the host name, it is nobody's.
  expect(answer.status).toBe(404);
});

it("snapshots and fork: taken, listed, begun with, forked, and deleted with proof after showing what goes [TRA-15] [PEO-3]", async () => {
  await cli(["exec", id, "echo kept > kept.txt"], tenant);
  const taken = await cli(["snapshots", "create", id, "with-kept"], tenant);
  expect(taken.code).toBe(0);
  const snapshot = taken.out.trim();
  expect((await cli(["snapshots", "list", "-q", "-s", id], tenant)).out).toBe(`${snapshot}\n`);
  expect((await cli(["snapshots", "list"], tenant)).out).toMatch(new RegExp(`with-kept +${snapshot} +ready +\\d+ kB `));
  expect(await cli(["snapshots", "create", id, "with-kept"], tenant)).toMatchObject({ code: 5 });

  const begun = (await cli(["up", "-q", "--snapshot", "with-kept"], tenant)).out.trim();
  // The name of no directory was given: nothing was uploaded beside the files of the snapshot.
  expect((await cli(["exec", begun, "ls; cat kept.txt"], tenant)).out).toBe("kept.txt\nkept\n");
  const forked = await cli(["fork", id, "-n", "2", "-l", "try=b", "--json"], tenant);
  const { sessions } = JSON.parse(forked.out) as { sessions: { id: string; labels: object }[] };
  expect(sessions.map(({ labels }) => labels)).toEqual([{ try: "b" }, { try: "b" }]);
  const [fork] = sessions;
  expect((await cli(["exec", fork?.id ?? "", "cat kept.txt"], tenant)).out).toBe("kept\n");

  const unasked = await cli(["snapshots", "delete", "with-kept"], tenant);
  expect(unasked).toMatchObject({ code: 2, err: expect.stringContaining(snapshot) });
  const deleted = await cli(["snapshots", "delete", "-y", "with-kept"], tenant);
  expect(deleted).toMatchObject({ code: 0, out: expect.stringContaining("found no file") });
  expect((await cli(["snapshots", "list", "-q"], tenant)).out).toBe("");
  expect(await cli(["snapshots", "delete", "-y", "with-kept"], tenant)).toMatchObject({ code: 4 });
  const ids = [begun, ...sessions.map((each) => each.id)];
  expect((await cli(["end", "-y", ...ids], tenant)).code).toBe(0);
});
