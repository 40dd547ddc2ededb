import { describe, expect, it } from "vitest";
import { answeredHeaders, onwardHeaders, onwardPath } from "../../../../src/http/sandbox-ports/port-headers.ts";
import { type PortAddress, portAddress } from "../../../../src/http/sandbox-ports/port-address.ts";
import type { SessionId } from "../../../../src/domain/state/ids.ts";
import {
  isLabelSigned,
  readPortLabel,
  signPortLabel,
  signPortToken,
  readPortToken,
} from "../../../../src/protocol/port-access.ts";

const id = "a".repeat(20) as SessionId;
const byHost = new URL(`https://8000-${id}.sandboxes.example.net/x?y=1`);
const byPath = new URL(`https://mooring.example.com/v1/sessions/${id}/ports/8000/x?y=1`);

function placeOf(url: URL): PortAddress {
  const place = portAddress(url, "sandboxes.example.net");
  if (place === null) throw new Error("no place");
  return place;
}

describe("cookies of one sandbox", () => {
  it("stay at its own host, whatever domain the server asks for [TRA-11]", () => {
    const headers = new Headers();
    headers.append("set-cookie", "a=1; Domain=sandboxes.example.net; Path=/");
    headers.append("set-cookie", "b=2; domain = .example.net ; Secure");
    headers.append("set-cookie", "mooring_port=stolen");
    const answered = answeredHeaders(new Response(null, { headers }), placeOf(byHost), byHost);
    expect(answered.getSetCookie()).toEqual(["a=1; Path=/", "b=2; Secure"]);
  });

  it("are neither sent nor set below Mooring's own origin, whose cookies the server never sees [TRA-11]", () => {
    const request = new Request(byPath, { headers: { cookie: "console=secret", authorization: "Bearer x" } });
    const sent = onwardHeaders(request, placeOf(byPath), "authorization");
    expect([sent.get("cookie"), sent.get("authorization")]).toEqual([null, null]);
    const answer = new Response(null, { headers: { "set-cookie": "console=mine", "service-worker-allowed": "/" } });
    const answered = answeredHeaders(answer, placeOf(byPath), byPath);
    expect(answered.getSetCookie()).toEqual([]);
    expect(answered.get("service-worker-allowed")).toBeNull();
    expect(answered.get("content-security-policy")).not.toContain("allow-same-origin");
  });
});

it("a token in the address goes no further", () => {
  expect(onwardPath("/x?a=1&mooring_token=t&b")).toBe("/x?a=1&b");
  expect(onwardPath("/x?mooring_token=t")).toBe("/x");
});

it("redirects of a server to itself lead back to it from outside [TRA-11]", () => {
  const to = (location: string, url: URL) =>
    answeredHeaders(new Response(null, { headers: { location } }), placeOf(url), url).get("location");
  expect(to("/login", byPath)).toBe(`/v1/sessions/${id}/ports/8000/login`);
  expect(to("http://localhost:8000/login?a", byHost)).toBe(`${byHost.origin}/login?a`);
  expect(to("https://elsewhere.example/", byPath)).toBe("https://elsewhere.example/");
  expect(to("//elsewhere.example/", byPath)).toBe("//elsewhere.example/");
});

it("signed addresses open what they name, under the secret that signed them, and nothing that was changed [TRA-12]", async () => {
  const address = { session: id, port: 65_535, endsAt: 1_900_000_000_000 };
  const label = await signPortLabel(address, "secret");
  expect(label.length).toBeLessThanOrEqual(63);
  const named = readPortLabel(label);
  expect(named).toMatchObject({ session: id, port: 65_535, signed: { endsAt: address.endsAt } });
  if (named === null) throw new Error("unreachable");
  expect(await isLabelSigned(named, ["other", "secret"])).toBe(true);
  expect(await isLabelSigned(named, ["other"])).toBe(false);
  expect(await isLabelSigned({ ...named, port: 22 }, ["secret"])).toBe(false);
  const grant = { ...address, tenant: "acme" as never, keyId: "abc.0.0123456789" };
  const token = await signPortToken(grant, "secret");
  expect(await readPortToken(token, ["secret"])).toEqual(grant);
  expect(await readPortToken(token, ["other"])).toBeNull();
  expect(await readPortToken(token.replace("_65535_", "_22_"), ["secret"])).toBeNull();
});
