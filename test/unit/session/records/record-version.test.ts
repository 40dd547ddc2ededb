/** What older code could misread carries a version that it leaves alone; the rest stays readable for it. */
import { expect, it } from "vitest";
import { providerNames } from "../../../../src/domain/state/provider-names.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import { aWhile, pause } from "../../../support/suspension.ts";
import { recordVersion, recordVersionOf } from "../../../../src/session/migrations/session-tables.ts";

it("a place in a shared container on Cloudflare is left alone by code that knows none, and nothing else is [LEA-19]", () => {
  expect(recordVersionOf("cloudflare", true)).toBe(3);
  const others = providerNames.flatMap((name) => [
    [name, false] as const,
    ...(name === "cloudflare" ? [] : [[name, true] as const]),
  ]);
  for (const [name, isShared] of others) expect(recordVersionOf(name, isShared)).toBe(2);
});

it("[BUG-6] an upgrade under way is left alone by code that does not know that purpose [LEA-19]", () => {
  for (const name of providerNames) expect(recordVersionOf(name, false, { isUpgrading: true })).toBe(4);
});

it("a session with a template or rules for the network is left alone by code that would drop them [CON-10]", () => {
  for (const name of providerNames) expect(recordVersionOf(name, false, { hasTerms: true })).toBe(5);
});

it("a session with a budget, or that spent money, is left alone by code that would drop both [LEA-19] [EVI-3]", async () => {
  const rig = new SessionRig({ prices: { currency: "USD", nanosPerSecond: { memory: 25_000 } } });
  const stored = () => rig.sql.run("SELECT record_version FROM session")[0]?.["record_version"];
  await rig.running();
  expect(stored()).toBe(2);
  await rig.commands.budget(caller, 1);
  expect(stored()).toBe(recordVersion);
  // Without a bound of its own it still knows what it spent.
  await rig.commands.budget(caller, null);
  expect(stored()).toBe(2);
  await rig.pass(60_000);
  await pause(rig);
  await rig.pass(aWhile);
  expect(stored()).toBe(recordVersion);
});
