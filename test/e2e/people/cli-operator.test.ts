/** What an operator does with the command line: the jobs of docs/operations.md, each against a real stack. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cli, inTerminal } from "../../support/command-line.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let folder: string;
let tenant: Record<string, string>;
let operator: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mooring-cli-test-"));
  world = await temporaryStack();
  tenant = { MOORING_URL: world.stack.url, MOORING_KEY: await world.stack.apiKey("cli") };
  operator = { MOORING_URL: world.stack.url, MOORING_ADMIN_TOKEN: world.stack.secrets.ADMIN_TOKEN };
}, 240_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await world.stop();
}, 120_000);

async function session(): Promise<string> {
  const made = await cli(["api", "create-session", "--wait", "30"], tenant);
  return (JSON.parse(made.out) as { readonly id: string }).id;
}
const json = async (args: readonly string[], env: Record<string, string>) =>
  JSON.parse((await cli([...args, "--json"], env)).out) as Record<string, unknown>;
const indexed = (id: string) =>
  until("the index has it", async () => (await cli(["sessions", "-q"], operator)).out.includes(id), 60_000);

it("is anything running that should not? fleet, attention, doctor, audit [PEO-1]", { timeout: 180_000 }, async () => {
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

it(
  "stop everything: drain, look, end, and new sessions are taken again [PEO-1] [PEO-3]",
  { timeout: 180_000 },
  async () => {
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
    await until("nothing is left", async () => (await world.stack.residue()).length === 0, 60_000);
    expect((await cli(["drain", "off", "--reason", "over"], operator)).out).toContain("are taken");
  },
);

it(
  "end asks in a terminal after showing the session, and proves the end [PEO-1] [PEO-3]",
  { timeout: 180_000 },
  async () => {
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
    expect(await json(["end", "-y", id], operator)).toMatchObject([{ id, outcome: "proven gone" }]);
  },
);

it("resolve refuses what is not stuck, and says what to run [PEO-4]", { timeout: 120_000 }, async () => {
  const id = await session();
  const refused = await cli(["resolve", id, "--action", "retry_stop", "--reason", "a drill", "-y"], operator);
  expect(refused).toMatchObject({ code: 5, err: expect.stringMatching(new RegExp(`next: .*mooring why ${id}`)) });
  expect((await cli(["end", id, "-y"], tenant)).code).toBe(0);
  expect((await cli(["logs", id], tenant)).code).toBe(0);
  expect((await cli(["logs", id, "--events"], tenant)).out).toMatch(/terminated/);
});

it("a key is made, works, is revoked; it is never on a command line", { timeout: 120_000 }, async () => {
  const signing = { ...operator, KEY_SIGNING_SECRET: world.stack.secrets.KEY_SIGNING_SECRET };
  const key = (await cli(["keys", "create", "--tenant", "made-here"], signing)).out.trim();
  expect(key).toMatch(/^mrg_made-here_/);
  expect((await cli(["sessions"], { MOORING_URL: world.stack.url, MOORING_KEY: key })).code).toBe(0);
  const keyId = key.split("_")[2] ?? "";
  expect((await cli(["keys", "revoke", "made-here", keyId, "--reason", "a drill", "-y"], operator)).code).toBe(0);
  expect((await cli(["keys", "list", "made-here", "-q"], operator)).out).toBe(`${keyId}\n`);
});

it(
  "login keeps a key in a file that only its owner reads; one that others can read is refused",
  { timeout: 120_000 },
  async () => {
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
  },
);

it("ui prints a ticket that signs in, never the key", { timeout: 60_000 }, async () => {
  const { out } = await cli(["ui", "--print"], tenant);
  expect(out).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/console\/login#/);
  expect(out).not.toContain((tenant["MOORING_KEY"] ?? "").split("_").at(-1));
});
