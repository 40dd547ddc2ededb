/** Rules for the network from a client to the provider: refused where they cannot be kept, sealed, handed over, and sent again until confirmed. */
import { expect, it } from "vitest";
import { admit } from "../../../../src/session/steps/open/admission.ts";
import { defaultPolicy } from "../../../../src/domain/rules/policy.ts";
import type { SessionId, TenantId } from "../../../../src/domain/state/ids.ts";
import type { CreateSession } from "../../../../src/protocol/resources/session/sessions.ts";
import { createSession, updateBody } from "../../../../src/protocol/resources/session/sessions.ts";
import type { NetworkDefault } from "../../../../src/session/ports.ts";

const capabilities = {
  snapshot: true,
  enumerate: false,
  shared: false,
  space: false,
  traffic: false,
  containment: "container",
  launchRetriesMs: 0,
  stopGraceMs: 5_000,
} as const;

function admitted(
  body: CreateSession,
  over: { readonly network?: boolean; readonly templates?: readonly string[] } = {},
  defaultNetwork: NetworkDefault = { mode: "open" },
) {
  return admit("s".repeat(20) as SessionId, "acme" as TenantId, body, {
    now: 1_000,
    createdAfter: 0,
    policy: defaultPolicy,
    provider: "cloudflare",
    capabilities: { ...capabilities, ...over },
    gitSchemes: [],
    defaultNetwork,
    snapshot: null,
  });
}

it("an unknown template is 422 with the list; a known one is kept, the default one is not [CON-9]", () => {
  const templates = ["base", "agents"];
  const refused = admitted({ template: "none" }, { templates });
  expect(refused).toMatchObject({ code: "validation_failed", errors: [{ pointer: "/template" }] });
  expect("detail" in refused && refused.detail).toContain("base, agents");
  expect(admitted({ template: "agents" }, { templates })).toMatchObject({ template: "agents" });
  expect(admitted({ template: "base" }, {})).not.toHaveProperty("template");
  expect(admitted({ template: "agents" }, {})).toMatchObject({ code: "validation_failed" });
});

it("rules are refused in words where the provider cannot keep them, asked for or by default [CON-10]", () => {
  expect(admitted({ network: { mode: "closed" } })).toMatchObject({ code: "unsupported_by_provider" });
  expect(admitted({}, {}, { mode: "closed" })).toMatchObject({ code: "unsupported_by_provider" });
  expect(admitted({ network: { mode: "open" } }, {}, { mode: "closed" })).not.toHaveProperty("code");
});

it("what a session says goes before the operator's default, and the secret is not in the session [CON-10]", () => {
  const inject = [{ host: "api.example.com", header: "authorization", secret: "Bearer the-credential" }];
  const session = admitted({ network: { mode: "open", inject } }, { network: true }, { mode: "closed" });
  expect(session).toMatchObject({
    network: { mode: "open", inject: [{ host: "api.example.com", header: "authorization" }], version: 1 },
  });
  expect(JSON.stringify(session)).not.toContain("the-credential");
  expect(admitted({}, { network: true }, { mode: "allow", allow: ["example.com"] })).toMatchObject({
    network: { mode: "allow", allow: ["example.com"], state: "applied" },
  });
  expect(admitted({}, { network: true })).not.toHaveProperty("network");
});

it.each([
  [{ mode: "allow" }],
  [{ mode: "closed", allow: ["example.com"] }],
  [{ mode: "closed", inject: [{ host: "example.com", header: "a", secret: "b" }] }],
  [{ mode: "allow", allow: ["https://example.com"] }],
  [{ mode: "allow", allow: ["example.com:443"] }],
  [{ mode: "allow", allow: ["*"] }],
  [{ mode: "open", inject: [{ host: "*.example.com", header: "a", secret: "b" }] }],
  [{ mode: "open", inject: [{ host: "example.com", header: "a b", secret: "b" }] }],
  [{ mode: "open", inject: [{ host: "example.com", header: "a", secret: "b\r\nc: d" }] }],
])("%j is no set of rules [CON-10]", (network) => {
  expect(createSession.safeParse({ network }).success).toBe(false);
  expect(updateBody.safeParse({ network }).success).toBe(false);
});
