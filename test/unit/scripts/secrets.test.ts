import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSecretFile } from "../../../scripts/deploy/secret-file.ts";
import { verifyApiKey } from "../../../src/protocol/api-keys.ts";

const node = join(process.cwd(), "node_modules/.bin/node");
const place = () => join(mkdtempSync(join(tmpdir(), "mooring-secrets-")), "production.secrets");
const secrets = (...args: string[]) => spawnSync(node, ["scripts/deploy/secrets.ts", ...args], { encoding: "utf8" });
const keys = (...args: string[]) =>
  spawnSync(node, ["scripts/stack/keys.ts", "create", "--tenant", "acme", ...args], {
    encoding: "utf8",
    env: { ...process.env, KEY_SIGNING_SECRET: "of-development-and-never-of-production" },
  });

describe("npm run secrets", () => {
  it("[BUG-90] makes what is missing, keeps it where only its owner reads it, never prints a value, changes nothing twice", () => {
    const file = place();
    const first = secrets("--file", file);
    expect(first.status).toBe(0);
    const made = readSecretFile(file);
    expect([...made.keys()]).toEqual([
      "ADMIN_TOKEN",
      "KEY_SIGNING_SECRET",
      "ENV_ENCRYPTION_KEY",
      "RECEIPT_SIGNING_KEY",
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    for (const value of made.values()) expect(first.stdout + first.stderr).not.toContain(value);
    const before = readFileSync(file, "utf8");
    expect(secrets("--file", file).status).toBe(0);
    expect(readFileSync(file, "utf8")).toBe(before);
  });

  it("rotates one: the old value stays accepted, the others stay as they are", () => {
    const file = place();
    secrets("--file", file);
    const before = readSecretFile(file);
    expect(secrets("--file", file, "--rotate", "KEY_SIGNING_SECRET").status).toBe(0);
    const after = readSecretFile(file);
    expect(after.get("KEY_SIGNING_SECRET")).not.toBe(before.get("KEY_SIGNING_SECRET"));
    expect(after.get("KEY_SIGNING_SECRET_PREVIOUS")).toBe(before.get("KEY_SIGNING_SECRET"));
    expect(after.get("ADMIN_TOKEN")).toBe(before.get("ADMIN_TOKEN"));
    expect(secrets("--file", file, "--rotate", "NO_SUCH").status).toBe(2);
  });

  it("refuses a file that others can read", () => {
    const file = place();
    writeFileSync(file, "");
    chmodSync(file, 0o644);
    const refused = secrets("--file", file);
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("chmod 600")]);
  });
});

describe("npm run keys -- --secrets", () => {
  it("[BUG-90] signs with the secret of that file, and with no other one when it lacks it", async () => {
    const file = place();
    secrets("--file", file);
    const key = keys("--secrets", file).stdout.trim();
    expect(await verifyApiKey(key, [readSecretFile(file).get("KEY_SIGNING_SECRET") ?? ""])).toMatchObject({
      tenant: "acme",
    });
    const empty = place();
    writeFileSync(empty, "ADMIN_TOKEN=something-else-entirely\n", { mode: 0o600 });
    const refused = keys("--secrets", empty);
    expect([refused.status, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toContain(empty);
    expect(keys("--secrets", join(tmpdir(), "mooring-no-such-file")).status).toBe(1);
  });
});
