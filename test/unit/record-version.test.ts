/** What older code could misread carries a version that it leaves alone; the rest stays readable for it. */
import { expect, it } from "vitest";
import { providerNames } from "../../src/domain/provider-names.ts";
import { recordVersion, recordVersionOf } from "../../src/session/migrations/session-tables.ts";

it("a place in a shared container on Cloudflare is left alone by code that knows none, and nothing else is [LEA-19]", () => {
  expect(recordVersionOf("cloudflare", true)).toBe(recordVersion);
  const others = providerNames.flatMap((name) => [
    [name, false] as const,
    ...(name === "cloudflare" ? [] : [[name, true] as const]),
  ]);
  for (const [name, isShared] of others) expect(recordVersionOf(name, isShared)).toBe(recordVersion - 1);
});
