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
