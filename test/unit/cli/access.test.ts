/** Which credential goes to which Mooring. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accessOf } from "../../../src/cli/settings/access.ts";
import { profilesPath, writeProfiles } from "../../../src/cli/settings/profiles.ts";

const home = mkdtempSync(join(tmpdir(), "mooring-access-"));
const env = { HOME: home, XDG_CONFIG_HOME: home };
const production = { url: "https://mooring.example.com/", key: "mrg_kept" };

beforeAll(() => writeProfiles(profilesPath(env), { current: "default", profiles: { default: production } }));
afterAll(() => rmSync(home, { recursive: true }));

it("a profile's key goes to the profile's Mooring, with or without a slash at the end", () => {
  expect(accessOf({}, env)).toMatchObject({ url: "https://mooring.example.com", key: "mrg_kept" });
  expect(accessOf({ url: "https://mooring.example.com" }, env).key).toBe("mrg_kept");
});

it("it is not shown to another Mooring, whoever names that one", () => {
  for (const [flags, more] of [
    [{ url: "http://127.0.0.1:8787" }, {}],
    [{}, { MOORING_URL: "https://elsewhere.example.com" }],
  ] as const) {
    const { key, adminToken, from } = accessOf(flags, { ...env, ...more });
    expect([key, adminToken]).toEqual([null, null]);
    expect(from).toContain("mooring.example.com");
  }
});

it("a key of the environment goes where the environment or a flag says", () => {
  const access = accessOf({ url: "http://127.0.0.1:8787/" }, { ...env, MOORING_KEY: "mrg_own" });
  expect(access).toMatchObject({ url: "http://127.0.0.1:8787", key: "mrg_own" });
});
