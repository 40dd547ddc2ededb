import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ApiKeyOrder,
  apiKeyScopes,
  e2bFormOf,
  hasRight,
  keyHasEnded,
  signApiKey,
  verifyApiKey,
} from "../../../../src/protocol/api-keys.ts";
import { hmacHex } from "../../../../src/protocol/bytes.ts";

const secret = "the-signing-secret-of-this-test-0001";
const order: ApiKeyOrder = {
  tenant: "acme",
  scopes: ["critical"],
  issuedAt: 1_772_366_400_999,
  expiresAt: null,
  nonce: "0123456789",
};

describe("an API key", () => {
  it("of Mooring's own tenant opens nothing, whoever signed it [SEC-1]", async () => {
    const key = await signApiKey({ ...order, tenant: "mooring-drill" }, secret);
    expect(await verifyApiKey(key, [secret])).toBeNull();
    expect(await verifyApiKey(e2bFormOf(key), [secret])).toBeNull();
    expect(
      await verifyApiKey(await signApiKey({ ...order, tenant: "mooring-drills" }, secret), [secret]),
    ).not.toBeNull();
  });

  it("reads back as what was signed, in four parts [SEC-1]", async () => {
    const key = await signApiKey(order, secret);
    expect(key.split("_")).toEqual(["mrg", "acme", "tb7yo0.c.0123456789", expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(await verifyApiKey(key, [secret])).toEqual({
      tenant: "acme",
      keyId: "tb7yo0.c.0123456789",
      issuedAt: 1_772_366_400_000,
      scopes: ["critical"],
      expiresAt: null,
    });
  });

  it("[BUG-83] says when it ends and what it may do, under its signature; older code refuses such a key", async () => {
    const key = await signApiKey({ ...order, scopes: ["run", "read"], expiresAt: 1_772_366_500_999 }, secret);
    const claims = await verifyApiKey(key, [secret]);
    expect(claims).toMatchObject({ scopes: ["read", "run"], expiresAt: 1_772_366_500_000 });
    expect(claims?.keyId).toMatch(/^tb7yo0\.ru\.0123456789\.tb7yqs$/);
    expect([
      keyHasEnded(claims?.keyId ?? "", 1_772_366_499_999),
      keyHasEnded(claims?.keyId ?? "", 1_772_366_500_000),
    ]).toEqual([false, true]);
    expect(await verifyApiKey(key.replace("tb7yqs", "tb7yqt"), [secret])).toBeNull();
    expect(await verifyApiKey(key.replace(".tb7yqs", ""), [secret])).toBeNull();
    expect(await verifyApiKey(e2bFormOf(key), [secret])).toEqual(claims);
    const bound = await signApiKey({ ...order, scopes: ["read"] }, secret);
    expect(bound.split("_")[2]).toBe("tb7yo0.r.0123456789.0");
    expect(await verifyApiKey(bound, [secret])).toMatchObject({ expiresAt: null });
  });

  it("[BUG-83] with a right of a later version is refused when it is bound, since without that right it would have all", async () => {
    const signed = async (keyId: string) => `mrg_acme_${keyId}_${await hmacHex(secret, `mrg_acme_${keyId}`)}`;
    for (const keyId of ["tb7yo0.w.0123456789.0", "tb7yo0.rw.0123456789.tb7yqs"])
      expect(await verifyApiKey(await signed(keyId), [secret])).toBeNull();
    expect(await verifyApiKey(await signed("tb7yo0.r.0123456789.0"), [secret])).toMatchObject({ scopes: ["read"] });
    expect(await verifyApiKey(await signed("tb7yo0.cw.0123456789"), [secret])).toMatchObject({ scopes: ["critical"] });
  });

  it("[BUG-83] may do what its scopes say; without any of the three it may do all, as every key before them", () => {
    const rights = ["read", "run", "manage"] as const;
    const may = (...scopes: string[]) => rights.filter((right) => hasRight(scopes, right));
    expect(may()).toEqual(rights);
    expect(may("critical")).toEqual(rights);
    expect(may("read")).toEqual(["read"]);
    expect(may("run")).toEqual(["read", "run"]);
    expect(may("manage", "critical")).toEqual(["read", "manage"]);
  });

  it("is void when any one character is changed, added or taken away [SEC-1]", async () => {
    const key = await signApiKey(order, secret);
    for (let at = 0; at < key.length; at++) {
      const other = key[at] === "a" ? "b" : "a";
      for (const changed of [
        key.slice(0, at) + other + key.slice(at + 1),
        key.slice(0, at) + key.slice(at + 1),
        key.slice(0, at) + other + key.slice(at),
      ]) {
        expect(await verifyApiKey(changed, [secret]), changed).toBeNull();
      }
    }
  });

  it("cannot carry another tenant's or a wider claim under its signature [SEC-1]", async () => {
    const key = await signApiKey({ ...order, scopes: [] }, secret);
    expect(await verifyApiKey(key.replace("acme", "evil"), [secret])).toBeNull();
    expect(await verifyApiKey(key.replace(".0.", ".c."), [secret])).toBeNull();
  });

  it("is accepted under any of the given secrets and under no other [SEC-1]", async () => {
    const key = await signApiKey(order, secret);
    expect(await verifyApiKey(key, ["some-other-secret-0002", secret])).not.toBeNull();
    expect(await verifyApiKey(key, ["some-other-secret-0002"])).toBeNull();
    expect(await verifyApiKey(key, [])).toBeNull();
  });

  it("round-trips for every tenant and scope; junk is refused and never throws [SEC-1]", async () => {
    const tenants = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/);
    await fc.assert(
      fc.asyncProperty(tenants, fc.subarray([...apiKeyScopes]), fc.string(), async (tenant, scopes, junk) => {
        const key = await signApiKey({ ...order, tenant, scopes }, secret);
        expect(await verifyApiKey(key, [secret])).toMatchObject({ tenant, scopes });
        expect(await verifyApiKey(junk, [secret])).toBeNull();
        expect(await verifyApiKey(`mrg_${junk}`, [secret])).toBeNull();
      }),
      { numRuns: 50 },
    );
  });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real command, in an empty directory, so that no developer's .dev.vars is found. */
async function keys(args: readonly string[], env: Record<string, string>, devVars?: string): Promise<Ran> {
  const script = fileURLToPath(new URL("../../../../scripts/stack/keys.ts", import.meta.url).href);
  const cwd = await mkdtemp(join(tmpdir(), "mooring-keys-"));
  try {
    if (devVars !== undefined) await writeFile(join(cwd, ".dev.vars"), devVars);
    return await new Promise((resolve) => {
      execFile(process.execPath, [script, ...args], { cwd, env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  } finally {
    await rm(cwd, { recursive: true });
  }
}

describe("the keys command", () => {
  const env = { KEY_SIGNING_SECRET: secret };

  it("prints a key that verifies, and nothing else", async () => {
    const { code, stdout, stderr } = await keys(["create", "--tenant", "acme", "--scope", "critical"], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^\S+\n$/);
    expect(await verifyApiKey(stdout.trim(), [secret])).toMatchObject({ tenant: "acme", scopes: ["critical"] });
  });

  it("[BUG-83] makes one that ends and only reads, in either form", async () => {
    const args = ["create", "--tenant", "acme", "--scope", "read", "--expires", "30d"];
    for (const more of [[], ["--e2b"]]) {
      const claims = await verifyApiKey((await keys([...args, ...more], env)).stdout.trim(), [secret]);
      expect(claims).toMatchObject({ scopes: ["read"] });
      expect((claims?.expiresAt ?? 0) - (claims?.issuedAt ?? 0)).toBe(30 * 86_400_000);
    }
  });

  it("makes a different key each time, so that one can be revoked alone", async () => {
    const first = await keys(["create", "--tenant", "acme"], env);
    const second = await keys(["create", "--tenant", "acme"], env);
    expect(first.stdout).not.toBe(second.stdout);
  });

  it("reads the secret from .dev.vars when the environment has none", async () => {
    const { stdout } = await keys(
      ["create", "--tenant", "acme"],
      {},
      `ADMIN_TOKEN=x\nKEY_SIGNING_SECRET="${secret}"\n`,
    );
    expect(await verifyApiKey(stdout.trim(), [secret])).toMatchObject({ tenant: "acme", scopes: [] });
  });

  it.each([
    ["no secret", ["create", "--tenant", "acme"], {}, 1],
    ["a short secret", ["create", "--tenant", "acme"], { KEY_SIGNING_SECRET: "short" }, 1],
    ["no tenant", ["create"], env, 2],
    ["a bad tenant", ["create", "--tenant", "Acme_1"], env, 2],
    ["an unknown scope", ["create", "--tenant", "acme", "--scope", "admin"], env, 2],
    ["an end that is no time", ["create", "--tenant", "acme", "--expires", "soon"], env, 2],
    ["an unknown option", ["create", "--tenant", "acme", "--force"], env, 2],
    ["another command", ["delete", "--tenant", "acme"], env, 2],
    ["no command", [], env, 2],
  ] as const)(
    "with %s it says so on stderr, in a line with the usage at most below it, and prints no key",
    async (_what, args, surroundings, exit) => {
      const { code, stdout, stderr } = await keys(args, surroundings);
      expect({ code, stdout }).toEqual({ code: exit, stdout: "" });
      expect(stderr).toMatch(/^[A-Z][^\n]{20,180}\n(Usage: npm run keys [^\n]+\n)?$/);
      expect(stderr).not.toContain(secret);
    },
  );
});
