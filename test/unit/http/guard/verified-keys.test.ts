/** Keys whose signature was checked before: remembered, but never taken for more than they are. */
import { describe, expect, it } from "vitest";
import { VerifiedKeys } from "../../../../src/http/guard/verified-keys.ts";
import { e2bFormOf, signApiKey, verifyApiKey } from "../../../../src/protocol/api-keys.ts";

const secret = "a-signing-secret-0001";
const keyOf = (number: number) =>
  signApiKey(
    { tenant: "acme", scopes: [], issuedAt: 1_700_000_000_000, nonce: number.toString(36).padStart(10, "0") },
    secret,
  );

describe("a verified key", () => {
  it("says the same each time, in both its forms", async () => {
    const keys = new VerifiedKeys([secret]);
    const key = await keyOf(1);
    const claims = await verifyApiKey(key, [secret]);
    expect(claims).not.toBeNull();
    for (const presented of [key, key, e2bFormOf(key), e2bFormOf(key)])
      expect(await keys.claimsOf(presented)).toEqual(claims);
  });

  it("opens nothing when one character of it is another, however often the right one was shown", async () => {
    const keys = new VerifiedKeys([secret]);
    const key = await keyOf(2);
    await keys.claimsOf(key);
    const last = key.at(-1) === "0" ? "1" : "0";
    for (const changed of [key.slice(0, -1) + last, key.replace("acme", "evil"), `${key} `, key.toUpperCase(), ""])
      expect(await keys.claimsOf(changed)).toBeNull();
    expect(await new VerifiedKeys(["another-secret-0002"]).claimsOf(key)).toBeNull();
  });

  it("is still right when more keys were used than are kept", async () => {
    const keys = new VerifiedKeys([secret]);
    const first = await keyOf(0);
    await keys.claimsOf(first);
    for (let number = 1; number <= 1_200; number += 1) {
      const key = await keyOf(number);
      expect((await keys.claimsOf(key))?.keyId).toContain(number.toString(36).padStart(10, "0"));
    }
    expect(await keys.claimsOf(first)).not.toBeNull();
  });
});
