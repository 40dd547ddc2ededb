import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countVars, timerVars } from "../../../src/config/config-vars.ts";
import { type Config, readConfig } from "../../../src/config/config.ts";
import { timerMisfits } from "../../../src/config/config-timers.ts";
import { defaultPolicy, type Policy, policyViolations } from "../../../src/domain/rules/policy.ts";
import { providerNames } from "../../../src/domain/state/provider-names.ts";
import type { ConfigEnv } from "../../../src/config/env.ts";
import { varNames } from "../../../src/config/var-names.ts";
import { defaultPauseTerms } from "../../../src/tenant/quota/pauses.ts";
import { providerTimers } from "../../../src/sandbox/provider-timers.ts";

const local = providerTimers.local;

function accepted(env: ConfigEnv): Config {
  const reading = readConfig(env, providerNames);
  if (!reading.ok) throw new Error(reading.misfits.map((misfit) => misfit.message).join(" "));
  return reading.config;
}

function refusals(env: ConfigEnv): readonly { readonly name: string; readonly message: string }[] {
  const reading = readConfig(env, providerNames);
  return reading.ok ? [] : reading.misfits;
}

describe("defaults", () => {
  it("an empty environment is the default policy on the local provider, with every secret unset", () => {
    const config = accepted({});
    expect(config.policy).toEqual(defaultPolicy);
    expect(config).toMatchObject({
      provider: "local",
      tenantMaxSandboxes: 10,
      globalMaxSandboxes: 100,
      fleetShards: 4,
      localHost: { token: null },
      secrets: { adminToken: null, keySigning: null, envEncryption: null },
    });
  });

  it("the shortened lease of the design's example is accepted, and what has no var follows it [LEA-24]", () => {
    const { policy } = accepted({
      LEASE_TTL_SECONDS: "8",
      LEASE_RENEW_SECONDS: "2",
      OBSERVE_TIMEOUT_SECONDS: "2",
      ALARM_SLIP_SECONDS: "0",
    });
    expect(policy).toMatchObject({ leaseTtlMs: 8_000, renewMs: 2_000, observeMs: 2_000, alarmSlipMs: 0 });
    // A retry after the next turn would be none; activity older than two and a half turns is stale.
    expect(policy).toMatchObject({ renewRetryMs: 2_000, staleActivityMs: 5_000, sleepAfterMs: 36_000 });
    expect(policyViolations(policy, local)).toEqual([]);
  });

  it("[BUG-17] a tenant has caps on paused sessions and on what they have saved, those of the registry by default", () => {
    expect(accepted({}).tenantPauses).toEqual(defaultPauseTerms);
    const { tenantPauses } = accepted({
      TENANT_MAX_PAUSED: "3",
      TENANT_MAX_SNAPSHOTS: "4",
      TENANT_MAX_SNAPSHOT_MIB: "2",
    });
    expect(tenantPauses).toEqual({ maxPaused: 3, maxSnapshots: 4, maxSnapshotBytes: 2 * 2 ** 20 });
  });

  it("[EVI-3] prices are whole billionths per second, by provider; what is no price is refused by name", () => {
    const { policy } = accepted({ PRICE_PER_HOUR: "cloudflare=0.09, local=3.6", PRICE_CURRENCY: "EUR" });
    expect(policy.prices).toEqual({ currency: "EUR", nanosPerSecond: { cloudflare: 25_000, local: 1_000_000 } });
    const wrong = [{ PRICE_PER_HOUR: "local=-1" }, { PRICE_PER_HOUR: "mars=1" }, { PRICE_CURRENCY: "euro" }];
    for (const env of wrong) expect(refusals(env).map(({ name }) => name)).toEqual(Object.keys(env));
  });

  it("the idle timeout can be off", () => {
    expect(accepted({ DEFAULT_IDLE_TIMEOUT_SECONDS: "off" }).policy.defaultIdleTimeoutMs).toBeNull();
    expect(refusals({ DEFAULT_TIMEOUT_SECONDS: "off" })).toHaveLength(1);
  });
});

describe("single values", () => {
  const names = Object.keys(timerVars) as (keyof typeof timerVars)[];

  it.each(names)("%s out of range or no whole number is refused by name, value and range [LEA-24]", (name) => {
    const { min, max } = timerVars[name];
    for (const value of [
      String(min - 1),
      String(max + 1),
      "1.5",
      "-1",
      "",
      " 5",
      "1e2",
      "NaN",
      "null",
      "9".repeat(20),
    ]) {
      const [misfit, ...others] = refusals({ [name]: value });
      expect(others).toEqual([]);
      expect(misfit?.name).toBe(name);
      expect(misfit?.message).toContain(`${name}=${JSON.stringify(value)}`);
      expect(misfit?.message).toContain(`from ${min} to ${max}`);
    }
  });

  it.each(names)("%s sets its policy field, in ms", (name) => {
    const timer = timerVars[name];
    const [misfit] = refusals({ [name]: String(timer.max + 1) });
    expect(misfit?.name).toBe(name);
    // One second above the default may break a rule between timers, but only such a rule: the value itself is read.
    const seconds = (defaultPolicy[timer.field] ?? 0) / 1_000 + 1;
    if (seconds > timer.max) return;
    const reading = readConfig({ [name]: String(seconds) }, providerNames);
    if (reading.ok) expect(reading.config.policy[timer.field]).toBe(seconds * 1_000);
    else expect(reading.misfits.every((each) => each.message.includes("breaks the rule"))).toBe(true);
  });

  it.each(Object.keys(countVars) as (keyof typeof countVars)[])("%s is bounded", (name) => {
    const { min, max } = countVars[name];
    for (const value of [String(min - 1), String(max + 1), "many"]) {
      expect(refusals({ [name]: value }).map((misfit) => misfit.name)).toEqual([name]);
    }
    expect(refusals({ [name]: String(max) })).toEqual([]);
  });

  it("a provider that is unknown is refused with the choices", () => {
    for (const value of ["docker", "Cloudflare", ""]) {
      const [misfit] = refusals({ SANDBOX_PROVIDER: value });
      expect(misfit).toEqual({
        name: "SANDBOX_PROVIDER",
        message: `SANDBOX_PROVIDER=${JSON.stringify(value)} must be one of cloudflare, sandbox-sdk, local, memory.`,
      });
    }
  });

  it("Cloudflare leaves a wrapper less time, so the graces begin lower there", () => {
    const graces = (env: ConfigEnv) => {
      const { jobGraceMs, stopGraceMs } = accepted(env).policy;
      return [jobGraceMs, stopGraceMs];
    };
    expect(graces({ SANDBOX_PROVIDER: "cloudflare" })).toEqual([3_000, 5_000]);
    expect(graces({ SANDBOX_PROVIDER: "cloudflare", JOB_GRACE_SECONDS: "2" })).toEqual([2_000, 5_000]);
    expect(graces({ SANDBOX_PROVIDER: "local" })).toEqual([5_000, 10_000]);
    expect(refusals({ SANDBOX_PROVIDER: "cloudflare", STOP_GRACE_SECONDS: "6" }).map(({ name }) => name)).toEqual([
      "STOP_GRACE_SECONDS",
    ]);
  });

  it("the host's address is a URL", () => {
    expect(accepted({ LOCAL_HOST_URL: "http://127.0.0.1:9/" }).localHost.url).toBe("http://127.0.0.1:9");
    for (const value of ["127.0.0.1:8788", "ftp://127.0.0.1", "file:///etc/passwd", "nonsense"]) {
      expect(refusals({ LOCAL_HOST_URL: value }).map((misfit) => misfit.name)).toEqual(["LOCAL_HOST_URL"]);
    }
  });

  it("every fault is told at once, and what is quoted cannot forge a log line", () => {
    const env = { LEASE_TTL_SECONDS: 'x"\nready', FLEET_SHARDS: "0", SANDBOX_PROVIDER: "y".repeat(1_000) };
    const messages = refusals(env);
    expect(messages.map((misfit) => misfit.name)).toEqual(["SANDBOX_PROVIDER", "LEASE_TTL_SECONDS", "FLEET_SHARDS"]);
    for (const { message } of messages) {
      expect(message).not.toContain("\n");
      expect(message.length).toBeLessThan(250);
    }
  });
});

describe("names", () => {
  it.each([
    ["LEASE_TTL_SECOND", "LEASE_TTL_SECONDS"],
    ["LEASE_TTL", "LEASE_TTL_SECONDS"],
    ["LEASE_TLL_SECONDS", "LEASE_TTL_SECONDS"],
    ["TENANT_MAX_SANDBOX", "TENANT_MAX_SANDBOXES"],
    ["MAX_LABEL", "MAX_LABELS"],
    ["max_body_bytes", "MAX_BODY_BYTES"],
    ["ADMIN_TOKENS", "ADMIN_TOKEN"],
    ["ALERT_WEBHOOK_URI", "ALERT_WEBHOOK_URL"],
  ])("[BUG-63] the var %s is refused, and %s is suggested", (name, meant) => {
    const [misfit, ...others] = refusals({ [name]: "a-value-of-good-length" });
    expect(others).toEqual([]);
    expect(misfit?.name).toBe(name);
    expect(misfit?.message).toContain(`did you mean ${meant}?`);
    expect(misfit?.message).not.toContain("a-value-of-good-length");
  });

  it("[BUG-63] a var with one of Mooring's prefixes is refused although no known name is near", () => {
    for (const name of ["FLEET_OF_BLUE_VANS_ABOUT_TOWN", "RECEIPT_SIGNING_CERTIFICATE_CHAIN"])
      expect(refusals({ [name]: "1" })).toMatchObject([{ name }]);
  });

  it("[BUG-63] bindings and vars that are somebody else's are left alone", () => {
    const env = { CF_VERSION: "1", NODE_ENV: "production", MAX_MIND_KEY: "x", ENV_NAME: "staging", RATE_READ: {} };
    expect(refusals(env as ConfigEnv)).toEqual([]);
  });

  it("[BUG-63] wrangler.toml names every var that is no secret, and nothing else", () => {
    const toml = readFileSync("wrangler.toml", "utf8");
    const vars = toml.slice(toml.indexOf("[vars]"), toml.indexOf("[[ratelimits]]"));
    const names = [...vars.matchAll(/^([A-Z_]+) = /gm)].map((match) => match[1] ?? "");
    expect(names.filter((name) => !varNames.includes(name))).toEqual([]);
    // Its comments tell the secrets, and the two graces that follow the provider.
    const current = varNames.filter((name) => !name.endsWith("_PREVIOUS"));
    expect(current.filter((name) => !toml.includes(name))).toEqual([]);
    expect(current.length - names.length).toBeLessThan(10);
  });
});

describe("rules between values", () => {
  /** The rules that vars can break. */
  it.each([
    ["LEASE_TTL_SECONDS", { LEASE_TTL_SECONDS: "249" }, /lease TTL ≥ 3 × renewal \+ alarm slip \+ observe bound/],
    ["LEASE_TTL_SECONDS", { LEASE_RENEW_SECONDS: "77" }, /LEASE_RENEW_SECONDS=77.*lease TTL ≥/],
    ["JOB_GRACE_SECONDS", { JOB_GRACE_SECONDS: "10" }, /STOP_GRACE_SECONDS=10.*job grace < stop grace/],
    [
      "STOP_GRACE_SECONDS",
      { STOP_GRACE_SECONDS: "61", STOP_ATTEMPT_SECONDS: "200" },
      /stop grace ≤ the provider's own/,
    ],
    ["STOP_ATTEMPT_SECONDS", { STOP_ATTEMPT_SECONDS: "50" }, /stop attempt ≥ stop grace \+ 4 × observe bound \+ 1 s/],
    [
      "PROVISION_TIMEOUT_SECONDS",
      { PROVISION_TIMEOUT_SECONDS: "119" },
      /launch bound \+ ready wait ≤ provision deadline/,
    ],
    [
      "PROVISION_TIMEOUT_SECONDS",
      { LAUNCH_TIMEOUT_SECONDS: "541" },
      /LAUNCH_TIMEOUT_SECONDS=541.*launch bound \+ ready wait ≤/,
    ],
    [
      "PROVISION_TIMEOUT_SECONDS",
      { READY_TIMEOUT_SECONDS: "541" },
      /READY_TIMEOUT_SECONDS=541.*launch bound \+ ready wait ≤/,
    ],
    ["LAUNCH_TIMEOUT_SECONDS", { LAUNCH_TIMEOUT_SECONDS: "19" }, /launch retries \(20000 ms\) ≤ launch bound/],
    ["DEFAULT_TIMEOUT_SECONDS", { MAX_TIMEOUT_SECONDS: "3599" }, /MAX_TIMEOUT_SECONDS=3599.*default timeout ≤ maximum/],
  ] as const)("%s: refused with the var, its value and the rule [LEA-24]", (name, env, words) => {
    const misfits = refusals(env);
    expect(misfits.map((misfit) => misfit.name)).toEqual([name]);
    expect(misfits[0]?.message).toMatch(words);
    const [[set, value]] = Object.entries(env) as [[string, string]];
    expect(misfits[0]?.message).toContain(`${set}=${value}`);
  });

  it("members of a shared container on Cloudflare: twice as many have seats [LEA-24]", () => {
    const env = { SANDBOX_PROVIDER: "cloudflare", SHARED_MAX_MEMBERS: "51" };
    expect(refusals(env)).toMatchObject([{ name: "SHARED_MAX_MEMBERS" }]);
    expect(refusals(env)[0]?.message).toContain("SHARED_MAX_MEMBERS=51 with SANDBOX_PROVIDER=cloudflare");
    expect(refusals({ ...env, SHARED_MAX_MEMBERS: "50" })).toEqual([]);
    expect(refusals({ ...env, SANDBOX_PROVIDER: "local" })).toEqual([]);
  });

  it.each([
    { LEASE_TTL_SECONDS: "250" },
    { JOB_GRACE_SECONDS: "9" },
    { STOP_GRACE_SECONDS: "60", STOP_ATTEMPT_SECONDS: "101" },
    { STOP_ATTEMPT_SECONDS: "51" },
    { PROVISION_TIMEOUT_SECONDS: "120" },
    { LAUNCH_TIMEOUT_SECONDS: "540" },
    { LAUNCH_TIMEOUT_SECONDS: "20" },
    { READY_TIMEOUT_SECONDS: "540" },
    { MAX_TIMEOUT_SECONDS: "3600" },
  ])("%o is exactly on its rule's boundary and fits [LEA-24]", (env) => {
    expect(refusals(env)).toEqual([]);
  });

  /** The rules about values without a var: reached through the same words, with a policy made by hand. */
  it.each([
    [{ staleActivityMs: 129_999 }, "staleActivityMs", /stale activity ≥ renewal \+ alarm slip \+ observe bound/],
    [{ sleepAfterMs: 369_999 }, "sleepAfterMs", /lease TTL \+ stop grace \+ alarm slip ≤ sleepAfter ≤ twice that/],
    [{ sleepAfterMs: 740_001 }, "sleepAfterMs", /sleepAfter ≤ twice that/],
  ] as const)("%o breaks one rule, told by name and value [LEA-24]", (change, field, words) => {
    const policy: Policy = { ...defaultPolicy, ...change };
    const [misfit, ...others] = timerMisfits(policy, local);
    expect(others).toEqual([]);
    expect(misfit?.name).toBe(field);
    expect(misfit?.message).toMatch(words);
    expect(misfit?.message).toContain(`${policy[field] / 1_000} s`);
  });

  it("whatever the vars are, what is accepted keeps every rule [LEA-24]", () => {
    const names = Object.keys(timerVars) as (keyof typeof timerVars)[];
    const anyEnv = fc.dictionary(fc.constantFrom(...names), fc.integer({ min: 0, max: 700 }).map(String), {
      maxKeys: 6,
    });
    let kept = 0;
    fc.assert(
      fc.property(anyEnv, (env) => {
        const reading = readConfig(env, providerNames);
        if (!reading.ok) return;
        kept++;
        expect(policyViolations(reading.config.policy, local)).toEqual([]);
        expect(reading.config.policy.renewRetryMs).toBeLessThanOrEqual(reading.config.policy.renewMs);
      }),
      { numRuns: 2_000 },
    );
    expect(kept).toBeGreaterThan(50);
  });
});

describe("a provider that this build does not have", () => {
  it("is refused by name, and the message lists those it has", () => {
    const reading = readConfig({ SANDBOX_PROVIDER: "memory" }, ["cloudflare", "local"]);
    expect(reading.ok ? [] : reading.misfits).toEqual([
      { name: "SANDBOX_PROVIDER", message: 'SANDBOX_PROVIDER="memory" must be one of cloudflare, local.' },
    ]);
  });
});

describe("a refused config", () => {
  it("leaves the objects the default timers, so that no alarm of a session that exists is lost [LEA-24]", () => {
    const env = { LEASE_TTL_SECONDS: "30", RETENTION_SECONDS: "10", FLEET_SHARDS: "8", SANDBOX_PROVIDER: "memory" };
    const reading = readConfig(env, providerNames);
    expect(reading).toMatchObject({ ok: false, fallback: { fleetShards: 8, provider: "memory" } });
    expect(reading.ok ? null : reading.fallback.policy).toEqual(defaultPolicy);
  });
});

describe("secrets", () => {
  const long = "a-secret-of-good-length-0001";

  it("a short secret refuses the start and is never shown [SEC-1]", () => {
    for (const name of ["ADMIN_TOKEN", "KEY_SIGNING_SECRET", "ENV_ENCRYPTION_KEY", "LOCAL_HOST_TOKEN"]) {
      const [misfit, ...others] = refusals({ [name]: "fifteen-letters" });
      expect(others).toEqual([]);
      expect(misfit?.name).toBe(name);
      expect(misfit?.message).not.toContain("fifteen-letters");
    }
    expect(refusals({ KEY_SIGNING_SECRET: long, KEY_SIGNING_SECRET_PREVIOUS: "short" })).toHaveLength(1);
    expect(refusals({ KEY_SIGNING_SECRET: long, KEY_SIGNING_SECRET_PREVIOUS: `${long}-2, short` })).toHaveLength(1);
  });

  it("one value for two purposes is refused and is never shown [SEC-2]", () => {
    const [misfit] = refusals({ ADMIN_TOKEN: long, KEY_SIGNING_SECRET: long });
    expect(misfit?.name).toBe("KEY_SIGNING_SECRET");
    expect(misfit?.message).toContain("ADMIN_TOKEN");
    expect(misfit?.message).not.toContain(long);
  });

  it("a previous secret counts only beside a current one [SEC-1]", () => {
    expect(accepted({ ADMIN_TOKEN_PREVIOUS: long }).secrets.adminToken).toBeNull();
    expect(accepted({ ADMIN_TOKEN: `${long}-2`, ADMIN_TOKEN_PREVIOUS: long }).secrets.adminToken).toEqual([
      `${long}-2`,
      long,
    ]);
  });

  it("several previous secrets are accepted at once, the current one first [SEC-1]", () => {
    for (const name of ["ADMIN_TOKEN", "KEY_SIGNING_SECRET", "ENV_ENCRYPTION_KEY"] as const) {
      const env = { [name]: `${long}-3`, [`${name}_PREVIOUS`]: `${long}-2, ${long}-1,` };
      const { adminToken, keySigning, envEncryption } = accepted(env).secrets;
      const read = { ADMIN_TOKEN: adminToken, KEY_SIGNING_SECRET: keySigning, ENV_ENCRYPTION_KEY: envEncryption }[name];
      expect(read).toEqual([`${long}-3`, `${long}-2`, `${long}-1`]);
    }
  });

  it("a previous secret of one purpose is refused as another's [SEC-2]", () => {
    const shared = { KEY_SIGNING_SECRET: `${long}-2`, KEY_SIGNING_SECRET_PREVIOUS: long, ADMIN_TOKEN: long };
    expect(refusals(shared)).toHaveLength(1);
  });
});

describe("[BUG-84] a secret that could never work is refused at start, without its value", () => {
  it.each([
    ["a comma", `${"a".repeat(20)},${"b".repeat(20)}`, "holds a comma"],
    ["a space", `${"a".repeat(20)} ${"b".repeat(20)}`, "holds a space"],
    ["a letter outside ASCII", `${"a".repeat(20)}ü`, "outside ASCII"],
    ["more characters than a header takes", "a".repeat(5_000), "is too long"],
  ])("with %s", (_what, value, words) => {
    const [misfit, ...others] = refusals({ ADMIN_TOKEN: value });
    expect(others).toEqual([]);
    expect(misfit).toMatchObject({ name: "ADMIN_TOKEN", message: expect.stringContaining(words) as string });
    expect(misfit?.message).not.toContain("aaaa");
  });
});
