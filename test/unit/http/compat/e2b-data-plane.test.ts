/** E2B's data plane in the Worker: who may ask, what goes on to the sandbox, and how a refusal sounds. */
import { expect, it } from "vitest";
import type { SessionId, TenantId } from "../../../../src/domain/state/ids.ts";
import { EnvelopeReader } from "../../../../src/protocol/compat/connect.ts";
import { signAccess } from "../../../../src/protocol/compat/e2b-access.ts";
import { e2bSignature, judgeSignature } from "../../../../src/protocol/compat/e2b-signature.ts";
import type { ProblemCode } from "../../../../src/protocol/problem.ts";
import type { TrafficOrder } from "../../../../src/traffic/traffic-gate.ts";
import { httpClient } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";
import { testKey, testSecrets } from "../../../support/http-client.ts";

const id = sampleId as SessionId;
const token = () => signAccess("acme" as TenantId, id, testSecrets.KEY_SIGNING_SECRET);
const headers = async () => ({ "e2b-sandbox-id": sampleId, "x-access-token": await token() });

async function passing(owner: string | null = "acme") {
  const sent: (TrafficOrder & { readonly tenant: string | null })[] = [];
  const client = await httpClient({
    answers: { session: { owner: async () => owner as TenantId | null } },
    traffic: async (caller, _id, order) => {
      sent.push({ ...order, tenant: typeof caller === "string" ? caller : (caller?.tenant ?? null) });
      return { ok: true, value: new Response("{}", { headers: { "content-type": "application/json" } }) };
    },
  });
  return { client, sent };
}

async function refusing(code: ProblemCode) {
  return httpClient({ traffic: async () => ({ ok: false, problem: { code, detail: "No." } }) });
}

function lastEnvelope(bytes: ArrayBuffer): unknown {
  const [envelope] = new EnvelopeReader(10_000).push(new Uint8Array(bytes));
  return envelope?.type === "end" ? JSON.parse(new TextDecoder().decode(envelope.payload)) : null;
}

it("a call goes to the agent as it is, without any credential of ours [TRA-12]", async () => {
  const { client, sent } = await passing();
  const response = await client.send("POST", "/process.Process/List", {
    key: null,
    headers: {
      ...(await headers()),
      "content-type": "application/json",
      authorization: `Basic ${btoa("user:")}`,
      cookie: "a=b",
      "keepalive-ping-interval": "50",
    },
    body: "{}",
  });
  expect([response.status, await response.text()]).toEqual([200, "{}"]);
  const [order] = sent;
  expect(order).toMatchObject({ method: "POST", path: "envd/process.Process/List", tenant: "acme" });
  expect(Object.fromEntries(order?.headers ?? [])).toEqual({
    "content-type": "application/json",
    authorization: `Basic ${btoa("user:")}`,
    "keepalive-ping-interval": "50",
  });
});

it("a watcher does not hold the idle clock, a command does [TRA-8]", async () => {
  const { client, sent } = await passing();
  for (const path of ["/filesystem.Filesystem/WatchDir", "/process.Process/Start"])
    await client.send("POST", path, { key: null, headers: await headers(), body: "" });
  expect(sent.map(({ quiet }) => quiet ?? false)).toEqual([true, false]);
});

it.each([
  "session_gone",
  "session_ended",
  "session_paused",
  "sandbox_lost",
  "not_found",
  "sandbox_unreachable",
] as const)(
  "%s is what the SDK takes for a sandbox that does not run, in all three forms [TRA-5] [TRA-13]",
  async (code) => {
    const client = await refusing(code);
    const send = async (method: "GET" | "POST", path: string) =>
      client.send(method, path, { key: null, headers: await headers() });
    const unary = await send("POST", "/filesystem.Filesystem/Stat");
    expect([unary.status, await unary.json()]).toEqual([503, { code: "unavailable", message: "No." }]);
    const stream = await send("POST", "/process.Process/Start");
    expect([stream.status, stream.headers.get("content-type")]).toEqual([200, "application/connect+json"]);
    expect(lastEnvelope(await stream.arrayBuffer())).toEqual({ error: { code: "unavailable", message: "No." } });
    const file = await send("GET", "/files?path=a");
    expect([file.status, await file.json()]).toEqual([502, { code: 502, message: "No." }]);
  },
);

it("a wrong token is refused in the form of the call, and reaches nobody [SEC-2]", async () => {
  const { client, sent } = await passing();
  const wrong = { "e2b-sandbox-id": sampleId, "x-access-token": `${await token()}0` };
  const unary = await client.send("POST", "/process.Process/List", { key: null, headers: wrong });
  expect([unary.status, await unary.json()]).toMatchObject([401, { code: "unauthenticated" }]);
  const stream = await client.send("POST", "/process.Process/Start", { key: null, headers: wrong });
  expect(lastEnvelope(await stream.arrayBuffer())).toMatchObject({ error: { code: "unauthenticated" } });
  const file = await client.send("GET", "/files?path=a", { key: null, headers: wrong });
  expect([file.status, await file.json()]).toMatchObject([401, { code: 401 }]);
  expect(sent).toEqual([]);
});

it("the known answer of a signature [TRA-12]", async () => {
  const file = { path: "hello.txt", operation: "read", user: "user", expiration: null } as const;
  const signature = await e2bSignature({ ...file, token: "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0" });
  expect(signature).toBe("v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
});

it("an address is judged by its signature first, then by its end [TRA-12]", async () => {
  const file = { path: "a", operation: "read", user: "", token: "t", expiration: "100" } as const;
  const signature = await e2bSignature(file);
  expect(await judgeSignature(file, signature, 99_999)).toBe("valid");
  expect(await judgeSignature(file, signature, 100_000)).toBe("expired");
  for (const other of [{ path: "b" }, { operation: "write" }, { user: "root" }, { token: "u" }, { expiration: "101" }])
    expect(await judgeSignature({ ...file, ...other } as typeof file, signature, 200_000)).toBe("invalid");
});

it("a signed address names its sandbox by the host, and opens that file only [TRA-12]", async () => {
  const { client, sent } = await passing();
  const query = async (path: string, expiration: string | null = null) => {
    const signature = await e2bSignature({ path, operation: "read", user: "", token: await token(), expiration });
    return new URLSearchParams({
      path,
      signature,
      ...(expiration === null ? {} : { signature_expiration: expiration }),
    });
  };
  const send = (method: "GET" | "POST", search: URLSearchParams) =>
    client.fetch(new Request(`http://49983-${sampleId}.sandboxes.test/files?${search.toString()}`, { method }));
  expect((await send("GET", await query("a b"))).status).toBe(200);
  expect(sent.map(({ path, tenant }) => [path.startsWith("envd/files?path=a+b"), tenant])).toEqual([[true, "acme"]]);
  const other = await query("a b");
  other.set("path", "/etc/passwd");
  const refused = await send("GET", other);
  expect([refused.status, await refused.json()]).toEqual([401, { code: 401, message: "invalid signature" }]);
  expect((await send("POST", await query("a b"))).status).toBe(401);
  const late = await send("GET", await query("a b", "1"));
  expect([late.status, await late.json()]).toEqual([401, { code: 401, message: "signature is already expired" }]);
  expect(sent).toHaveLength(1);
});

it("an address to write a file runs nothing: no call but /files looks at a signature [TRA-12] [SEC-2]", async () => {
  const { client, sent } = await passing();
  const order = { path: "a", operation: "write", user: "", token: await token(), expiration: null } as const;
  const query = new URLSearchParams({ path: "a", signature: await e2bSignature(order) }).toString();
  const send = async (path: string) =>
    client.fetch(new Request(`http://49983-${sampleId}.sandboxes.test${path}?${query}`, { method: "POST" }));
  expect((await send("/files")).status).toBe(200);
  expect(sent).toHaveLength(1);
  expect((await send("/filesystem.Filesystem/Remove")).status).toBe(401);
  const start = await send("/process.Process/Start");
  expect(lastEnvelope(await start.arrayBuffer())).toMatchObject({ error: { code: "unauthenticated" } });
  expect(sent).toHaveLength(1);
});

it("a signature for a sandbox that nobody has opens nothing [TRA-12]", async () => {
  const { client, sent } = await passing(null);
  const address = `http://49983-${sampleId}.sandboxes.test/files?path=a&signature=v1_x`;
  expect((await client.fetch(new Request(address))).status).toBe(401);
  expect(sent).toEqual([]);
});

it("at the host name of its port the data plane is served, and nothing else of Mooring's [TRA-12]", async () => {
  const sent: TrafficOrder[] = [];
  const client = await httpClient({
    env: { SANDBOX_PROVIDER: "memory", ...testSecrets, TRAFFIC_DOMAIN: "sbx.test" },
    traffic: async (_caller, _id, order) => {
      sent.push(order);
      return { ok: true, value: new Response("{}") };
    },
  });
  const ask = (method: string, path: string, headers: Record<string, string>) =>
    client.fetch(
      new Request(`https://49983-${sampleId}.sbx.test${path}`, {
        method,
        headers,
        ...(method === "POST" ? { body: "{}" } : {}),
      }),
    );
  expect((await ask("POST", "/process.Process/List", { "x-access-token": await token() })).status).toBe(200);
  expect(sent.map(({ path }) => path)).toEqual(["envd/process.Process/List"]);
  const authorization = `Bearer ${await testKey()}`;
  for (const path of ["/v1/sessions", "/console", "/sandboxes", "/"])
    expect((await ask("GET", path, { authorization })).status).toBe(404);
  expect(sent).toHaveLength(1);
});
