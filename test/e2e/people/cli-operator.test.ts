/** What an operator does with the command line: the jobs of docs/operations.md, each against a real stack. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import { cli, inTerminal } from "../../support/command-line.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let folder: string;
let tenant: Record<string, string>;
let operator: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mooring-cli-test-"));
  // One test waits for the end of a lease. The others must not lose theirs on a machine that stands still for a while.
  const short = { LEASE_TTL_SECONDS: "40" };
  world = await temporaryStack({ faults: true, vars: { ...calmVars, ...short } });
  tenant = { MOORING_URL: world.stack.url, MOORING_KEY: await world.stack.apiKey("cli") };
  operator = { MOORING_URL: world.stack.url, MOORING_ADMIN_TOKEN: world.stack.secrets.ADMIN_TOKEN };
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await world.stop();
});

// A host that refuses is no start for the next test, however the last one ended.
afterEach(() => fault(null));

async function session(): Promise<string> {
  const made = await cli(["api", "create-session", "--wait", "30"], tenant);
  return (JSON.parse(made.out) as { readonly id: string }).id;
}
const json = async (args: readonly string[], env: Record<string, string>) =>
  JSON.parse((await cli([...args, "--json"], env)).out) as Record<string, unknown>;
/** `mooring api` answers in JSON anyway. */
const raw = async (args: readonly string[], env: Record<string, string>) =>
  JSON.parse((await cli(["api", ...args], env)).out) as Record<string, unknown>;
const indexed = (id: string) =>
  until("the index has it", async () => (await cli(["sessions", "-q"], operator)).out.includes(id));

it("is anything running that should not? fleet, attention, doctor, audit [PEO-1]", async () => {
  const fleet = await cli(["fleet"], operator);
  expect(fleet.code).toBe(0);
  expect(fleet.out).toMatch(/ledger +balanced/);
  const attention = await json(["attention"], operator);
  expect(attention).toHaveProperty("items");
  const doctor = await cli(["doctor"], operator);
  expect(doctor.out).toMatch(/✓ Mooring/);
  expect(doctor.out).toMatch(/✓ admin token/);
  const plan = await json(["audit", "plan"], operator);
  const applied = await json(["audit", "apply", "-y", plan["id"] as string], operator);
  expect(applied).toMatchObject({ failed: 0 });
  expect((await cli(["audit", "list", "-q"], operator)).out).toContain(plan["id"] as string);
});

it("stop everything: drain, look, end, and new sessions are taken again [PEO-1] [PEO-3]", async () => {
  const id = await session();
  await indexed(id);
  expect((await cli(["drain", "on", "--reason", "a drill"], operator)).out).toContain("no new sessions");
  const refused = await cli(["run", "--", "true"], tenant);
  expect(refused).toMatchObject({ code: 125, err: expect.stringMatching(/next: .*mooring fleet/) });

  // Without a terminal nobody can be asked: it shows what it would touch, and does nothing.
  const shown = await cli(["emergency", "--reason", "a drill"], operator);
  expect(shown).toMatchObject({ code: 2, err: expect.stringContaining("there is no terminal to ask on") });
  expect(shown.out).toMatch(new RegExp(`${id} +would end`));
  expect((await cli(["why", id], tenant)).out).toContain("running");

  const done = await json(["emergency", "--reason", "a drill", "-y"], operator);
  expect(done).toMatchObject({ ended: 1, dry_run: false });
  await until("nothing is left", async () => (await world.stack.residue()).length === 0);
  expect((await cli(["drain", "off", "--reason", "over"], operator)).out).toContain("are taken");
});

it("end asks in a terminal after showing the session, and proves the end [PEO-1] [PEO-3]", async () => {
  const id = await session();
  const no = inTerminal(["end", id], tenant);
  await no.shows(/its files are gone\. Go on\?/);
  expect(no.screen()).toContain(id);
  no.type("n");
  expect(await no.ended).toBe(5);
  expect((await cli(["why", id], tenant)).out).toContain("running");
  const yes = inTerminal(["end", id], tenant);
  await yes.shows(/Go on\?/);
  yes.type("y");
  expect(await yes.ended).toBe(0);
  expect(yes.screen()).toContain("proven gone");
  // As an operator, whosever it is; again is no error.
  expect(await json(["end", "-y", "--reason", "a drill", id], operator)).toMatchObject([
    { id, outcome: "proven gone" },
  ]);
});

it("resolve refuses what is not stuck, and says what to run [PEO-4]", async () => {
  const id = await session();
  const refused = await cli(["resolve", id, "--action", "retry_stop", "--reason", "a drill", "-y"], operator);
  expect(refused).toMatchObject({ code: 5, err: expect.stringMatching(new RegExp(`next: .*mooring why ${id}`)) });
  expect((await cli(["end", id, "-y"], tenant)).code).toBe(0);
  expect((await cli(["logs", id], tenant)).code).toBe(0);
  expect((await cli(["logs", id, "--events"], tenant)).out).toMatch(/terminated/);
});

/** Null: the host does what it is asked again. */
async function fault(order: HostFault | null): Promise<void> {
  const { hostUrl, secrets } = world.stack;
  await fetch(`${hostUrl}/faults`, {
    method: order === null ? "DELETE" : "POST",
    headers: { authorization: `Bearer ${secrets.LOCAL_HOST_TOKEN}`, "content-type": "application/json" },
    ...(order === null ? {} : { body: JSON.stringify(order) }),
  });
}
/** Another member of its group may have ended it already. */
function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone, which is what was wanted.
  }
}
/** A session whose end nobody can prove: its host neither stops its sandbox nor looks at it. */
async function unendedSession(): Promise<string> {
  const id = await session();
  await fault({ op: "stop", mode: "error", count: 10_000 });
  await fault({ op: "observe", mode: "error", count: 10_000 });
  await cli(["api", "delete-session", "--yes", id], tenant);
  await until("a stop has failed", async () => /Attempt [2-8] of 8/.test((await cli(["why", id], operator)).out));
  return id;
}

it("a lost session: attention says since when and names the command, which asks and mends it [PEO-1] [PEO-3] [PEO-4]", async () => {
  const id = await session();
  for (const each of await world.stack.residue()) if (each.session_id === id) endProcess(each.pid);
  const told = await until("attention lists it", async () => {
    const attention = await cli(["attention"], operator);
    return attention.out.includes(id) ? attention : null;
  });
  expect(told.code).toBe(8);
  expect(told.out).toMatch(new RegExp(`Its sandbox is lost +session ${id} of cli, for \\d+[smhd]`));
  expect(told.out).toContain(`mooring rebuild ${id}`);
  const asked = inTerminal(["rebuild", id], tenant);
  await asked.shows(/is lost: it begins with what was saved last, or empty\. Go on\?/);
  asked.type("y");
  expect(await asked.ended).toBe(0);
  expect((await cli(["run", "-s", id, "echo it runs again"], tenant)).out).toBe("it runs again\n");
  expect((await cli(["end", id, "-y"], tenant)).code).toBe(0);
});

it(
  "a teardown without an end: resolve shows it and asks, and an operator's word is kept apart from proof in the ledger [PEO-1] [PEO-3] [PEO-4]",
  { timeout: 600_000 },
  async () => {
    const id = await unendedSession();
    const give = ["resolve", id, "--action", "assert_absent", "--reason", "the machine was wiped"];
    // Nobody can be asked: it shows what it is about, and does nothing.
    const shown = await cli(give, operator);
    expect(shown).toMatchObject({ code: 2, err: expect.stringContaining("Nothing was done") });
    expect(shown.err).toMatch(new RegExp(`${id}-g\\d+ stopping, \\d+ attempts`));
    const unasked = await cli(["api", "resolve-session", id, "--action", "abandon", "--reason", "gone"], operator);
    expect(unasked).toMatchObject({ code: 2, err: expect.stringContaining("Nothing was done") });
    const no = inTerminal(give, operator);
    await no.shows(/assert absent for this session\. Go on\?/);
    expect(no.screen()).toMatch(new RegExp(`${id}-g\\d+ stopping`));
    no.type("n");
    expect(await no.ended).toBe(5);
    // Refused until its lease has certainly expired. The refusal says when, and the same command works then.
    const early = await cli([...give, "-y"], operator);
    expect(early).toMatchObject({ code: 6, err: expect.stringContaining("It can be tried again at") });
    await until("its lease has expired", async () => (await cli([...give, "-y"], operator)).code === 0, 300_000);
    const apart = async () => /[1-9]\d* on a word alone/.test((await cli(["fleet"], operator)).out);
    await until("the fleet's figures have it", apart);
    expect((await cli(["fleet"], operator)).out).toMatch(/ledger +balanced/);
    expect(JSON.stringify(await raw(["list-admin-log"], operator))).toContain("the machine was wiped");
  },
);

it("cleanup shows what it would end, asks in a terminal, and ends exactly that [PEO-1] [PEO-3]", async () => {
  const id = await session();
  await indexed(id);
  const order = ["cleanup", "--older-than", "1s", "--status", "running", "--reason", "a leak"];
  const wouldEnd = new RegExp(`${id} +would end`);
  await until("it is old enough", async () => wouldEnd.test((await cli([...order, "--dry-run"], operator)).out));
  const no = inTerminal(order, operator);
  await no.shows(/as listed\. Go on\?/);
  expect(no.screen()).toMatch(wouldEnd);
  no.type("n");
  expect(await no.ended).toBe(5);
  expect((await cli(["why", id], tenant)).out).toContain("running");
  const yes = inTerminal(order, operator);
  await yes.shows(/Go on\?/);
  yes.type("y");
  expect(await yes.ended).toBe(0);
  await until("it is gone", async () => (await cli(["why", id], tenant)).out.includes("terminated"));
  const runs = await raw(["list-cleanup-runs"], operator);
  expect(JSON.stringify(runs)).toContain("a leak");
});

it("the first look at one session, and at what is around it: each call of the runbook has its command [PEO-1]", async () => {
  const made = await cli(["api", "create-session", "--isolation", "shared", "--wait", "30"], tenant);
  const { id, container_id: container } = JSON.parse(made.out) as { id: string; container_id: string };
  await indexed(id);
  await cli(["run", "-s", id, "echo said by a job"], tenant);
  expect((await cli(["logs", id], operator)).out).toContain("said by a job");
  expect((await cli(["top", id], operator)).out).toContain("MB");
  expect((await cli(["fleet"], operator)).out).toMatch(/oldest +[a-z0-9]{20} of cli/);
  expect(await raw(["get-stats"], operator)).toMatchObject({ oldest_running: { tenant: "cli" }, cost: null });
  expect((await cli(["usage", "--tenant", "cli"], operator)).out).toMatch(/\d+ of \d+ sandboxes/);
  const containers = await raw(["list-containers"], operator);
  expect(JSON.stringify(containers)).toContain(container);
  const asserted = ["api", "resolve-container", container, "--action", "assert_absent", "--reason", "gone"];
  expect(await cli(asserted, operator)).toMatchObject({ code: 2, err: expect.stringContaining(container) });
  const built = await raw(["rebuild-index", "--reason", "a drill"], operator);
  expect(JSON.stringify(built)).toContain("built");
  expect(await raw(["reseal-secrets", "--body", "{}"], operator)).toMatchObject({ unreadable: 0 });
  expect(await json(["end", "-y", "--reason", "a drill", id], operator)).toMatchObject([
    { id, outcome: "proven gone" },
  ]);
});

it("a key is made, works, is shown and revoked; it is never on a command line [PEO-1] [PEO-3]", async () => {
  const signing = { ...operator, KEY_SIGNING_SECRET: world.stack.secrets.KEY_SIGNING_SECRET };
  const key = (await cli(["keys", "create", "--tenant", "made-here"], signing)).out.trim();
  expect(key).toMatch(/^mrg_made-here_/);
  expect((await cli(["sessions"], { MOORING_URL: world.stack.url, MOORING_KEY: key })).code).toBe(0);
  const keyId = key.split("_")[2] ?? "";
  // Without a terminal nobody can be asked: the key is shown, and goes on working.
  const shown = await cli(["keys", "revoke", "made-here", keyId, "--reason", "a drill"], operator);
  expect(shown).toMatchObject({ code: 2, out: expect.stringContaining(keyId) });
  expect((await cli(["keys", "revoke", "made-here", "--all"], operator)).code).toBe(2);
  expect((await cli(["sessions"], { MOORING_URL: world.stack.url, MOORING_KEY: key })).code).toBe(0);
  expect((await cli(["keys", "revoke", "made-here", keyId, "--reason", "a drill", "-y"], operator)).code).toBe(0);
  expect((await cli(["keys", "list", "made-here", "-q"], operator)).out).toBe(`${keyId}\n`);
});

it("login keeps a key in a file that only its owner reads; one that others can read is refused", async () => {
  const profiles = join(folder, "profiles.json");
  const env = { MOORING_CONFIG: profiles };
  const key = tenant["MOORING_KEY"] ?? "";
  const kept = await cli(["login", "--url", world.stack.url], env, `${key}\n`);
  expect(kept).toMatchObject({ code: 0, out: expect.stringContaining("an API key") });
  expect(kept.out).not.toContain(key);
  expect(statSync(profiles).mode & 0o777).toBe(0o600);
  expect((await cli(["sessions"], env)).code).toBe(0);
  expect((await cli(["profiles"], env)).out).not.toContain(key);
  // A key that does not work is not kept.
  expect((await cli(["login", "--profile", "bad", "--url", world.stack.url], env, "mrg_a_b_c")).code).toBe(3);
  expect((await cli(["profiles", "-q"], env)).out).toBe("default\n");
  const { chmodSync } = await import("node:fs");
  chmodSync(profiles, 0o644);
  expect(await cli(["sessions"], env)).toMatchObject({ code: 1, err: expect.stringContaining("chmod 600") });
});

it("ui prints a ticket that signs in, never the key", async () => {
  const { out } = await cli(["ui", "--print"], tenant);
  expect(out).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/console\/login#/);
  expect(out).not.toContain((tenant["MOORING_KEY"] ?? "").split("_").at(-1));
});
