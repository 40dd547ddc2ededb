/** What becomes of a request that left a sandbox. */
import { expect, it } from "vitest";
import type { NetworkRules } from "../../../src/sandbox/agent-sandbox.ts";
import { networkVerdict } from "../../../src/sandbox/cloudflare/network/network-verdict.ts";

const inject = [{ host: "api.example.com", header: "authorization", secret: "Bearer x" }];
const of = (rules: Partial<NetworkRules>, url: string) =>
  networkVerdict({ mode: "allow", allow: [], inject: [], ...rules }, new URL(url));

it.each([
  ["https://example.com/", true],
  ["https://EXAMPLE.com./", true],
  ["https://a.b.pypi.org/", true],
  ["https://pypi.org/", false],
  ["https://notexample.com/", false],
  ["https://example.com.evil.net/", false],
  ["http://example.com@evil.net/", false],
  ["http://203.0.113.7/", false],
])("%s is reached: %s [CON-10]", (url, isReached) => {
  expect(of({ allow: ["example.com", "*.pypi.org"] }, url).type).toBe(isReached ? "allowed" : "denied");
});

it.each([
  ["https://198.51.100.7/", true],
  ["https://198.51.100.8/", false],
  ["http://203.0.113.255:8080/", true],
  ["http://203.0.114.0/", false],
  // The same address in another spelling.
  ["http://3405803783/", true],
  ["https://[2001:db8:0:0::9]/", true],
  ["https://[2001:db9::9]/", false],
  ["https://[::ffff:198.51.100.7]/", true],
  ["https://[::ffff:198.51.100.8]/", false],
  // A name is no address, whatever it looks like.
  ["https://198.51.100.7.example.com/", false],
])("an address and ranges: %s is reached: %s [CON-10]", (url, isReached) => {
  const allow = ["198.51.100.7", "203.0.113.0/24", "2001:db8::/32", "bad/", "198.51.100.8/"];
  expect(of({ allow }, url).type).toBe(isReached ? "allowed" : "denied");
});

it("a range of length 0 is every address, and no name [CON-10]", () => {
  expect(of({ allow: ["0.0.0.0/0"] }, "https://198.51.100.7/").type).toBe("allowed");
  expect(of({ allow: ["0.0.0.0/0"] }, "https://example.com/").type).toBe("denied");
  expect(of({ allow: ["*.7", "0.0.0.0/0"] }, "https://[2001:db8::1]/").type).toBe("denied");
});

it("closed refuses everything, open nothing [CON-10]", () => {
  expect(of({ mode: "closed", allow: ["example.com"] }, "https://example.com/")).toEqual({
    type: "denied",
    host: "example.com",
  });
  expect(of({ mode: "open" }, "https://example.com/")).toEqual({ type: "allowed", headers: [] });
});

it("a header goes to its host alone, and without TLS only where that was asked for [CON-10]", () => {
  const headers = [["authorization", "Bearer x"]];
  expect(of({ inject }, "https://api.example.com/a")).toEqual({ type: "allowed", headers });
  expect(of({ mode: "open", inject }, "https://api.example.com/a")).toEqual({ type: "allowed", headers });
  expect(of({ inject }, "http://api.example.com/a")).toEqual({ type: "allowed", headers: [] });
  const plain = inject.map((one) => ({ ...one, plain_http: true }));
  expect(of({ inject: plain }, "http://api.example.com/a")).toEqual({ type: "allowed", headers });
  expect(of({ inject }, "https://sub.api.example.com/")).toEqual({ type: "denied", host: "sub.api.example.com" });
});
