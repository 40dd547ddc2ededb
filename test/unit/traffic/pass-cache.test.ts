import { expect, it } from "vitest";
import type { Generation, InstanceId, SandboxId, SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import type { Pass } from "../../../src/protocol/sandbox/traffic.ts";
import { PassCache } from "../../../src/traffic/pass-cache.ts";

const id = "a".repeat(20) as SessionId;
const acme = "acme" as TenantId;
const pass = (change: Partial<Pass> = {}): Pass => ({
  provider: "memory",
  sessionId: id,
  sandboxId: "sandbox" as SandboxId,
  generation: 7 as Generation,
  instanceId: "instance" as InstanceId,
  host: null,
  key: "key",
  token: "token",
  expiresAt: 1_000,
  ...change,
});

function cacheAt(start: number) {
  const clock = { at: start, now: () => clock.at };
  return { clock, cache: new PassCache(clock) };
}

it("a pass is used until its end and not after it, also when the clock is set back [TRA-6]", () => {
  const { clock, cache } = cacheAt(0);
  cache.keep(acme, pass());
  clock.at = 999;
  expect(cache.get(acme, id)).not.toBeNull();
  clock.at = 1_000;
  expect(cache.get(acme, id)).toBeNull();
  clock.at = 500;
  expect(cache.get(acme, id)).toBeNull();
});

it("a pass that one tenant's request got serves no other tenant, and no signed address [TRA-5]", () => {
  const { cache } = cacheAt(0);
  cache.keep(acme, pass());
  expect(cache.get("other" as TenantId, id)).toBeNull();
  expect(cache.get(null, id)).toBeNull();
});

it("what refused one pass of a generation drops them all, and leaves a newer one [TRA-6]", () => {
  const { cache } = cacheAt(0);
  cache.keep(acme, pass());
  cache.keep(null, pass({ generation: 8 as Generation }));
  cache.drop(id, pass());
  expect(cache.get(acme, id)).toBeNull();
  expect(cache.get(null, id)?.generation).toBe(8);
});
