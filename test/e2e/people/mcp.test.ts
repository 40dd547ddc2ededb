/** `/mcp` with the real client of the official SDK against a real stack: an agent's whole way, and an operator's. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type IncomingMessage, request as sendRequest } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../../scripts/stack/ports.ts";
import { bodyOf } from "../../support/traffic-call.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let key: string;
beforeAll(async () => {
  world = await temporaryStack();
  key = await world.stack.apiKey("mcp");
});
afterAll(() => world.stop());

async function connected(credential: string): Promise<Client> {
  const client = new Client({ name: "mooring-test", version: "1" });
  const requestInit = { headers: { authorization: `Bearer ${credential}` } };
  whose.set(client, credential === key ? "tenant" : "operator");
  await client.connect(new StreamableHTTPClientTransport(new URL(`${world.stack.url}/mcp`), { requestInit }));
  return client;
}

interface ToolAnswer {
  readonly isError: boolean;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** Whose client it is, and the tools that each of the two has called: the last test wants all of them. */
const whose = new Map<Client, "tenant" | "operator">();
const called = { tenant: new Set<string>(), operator: new Set<string>() };

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<ToolAnswer> {
  called[whose.get(client) ?? "tenant"].add(name);
  const result = await client.callTool({ name, arguments: args }, { timeout: 120_000 });
  const [first] = result.content as readonly { readonly type: string; readonly text?: string }[];
  const text = first?.text ?? "";
  const isError = result.isError === true;
  return { isError, text, json: isError ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

it("an agent creates a session, works in it and ends it with a receipt; nothing is left", async () => {
  const client = await connected(key);
  const created = await call(client, "create_session", { idle_timeout_seconds: 900, labels: { by: "agent" } });
  expect(created.json).toMatchObject({ status: "running", labels: { by: "agent" } });
  const session_id = created.json["id"] as string;

  const ran = await call(client, "run_command", {
    session_id,
    command: "echo $((6 * 7)); echo out of luck >&2; exit 3",
  });
  expect(ran.json).toMatchObject({ state: "failed", exit_code: 3 });
  expect(ran.json["output_tail"]).toContain("42");

  const long = await call(client, "run_command", { session_id, command: "echo begun; sleep 600", wait_seconds: 1 });
  expect(long.json).toMatchObject({ says: expect.stringContaining("read_job") });
  const read = await until("it has begun", async () => {
    const { json } = await call(client, "read_job", { session_id, job_id: long.json["id"], wait_seconds: 0 });
    return json["output_tail"] === "begun\n" ? json : null;
  });
  expect(read).toMatchObject({ state: "running" });
  expect((await call(client, "cancel_job", { session_id, job_id: long.json["id"] })).isError).toBe(false);

  const why = await call(client, "explain_session", { session_id });
  expect(why.json).toMatchObject({ session_id, status: "running" });

  const ended = await call(client, "end_session", { session_id });
  expect(ended.json).toMatchObject({ receipt: { session_id, phase: "closed", parked: false } });
  expect(await world.stack.residue()).toEqual([]);
  // The way an agent hears a refusal: in words, with the code, as the result of its call.
  const late = await call(client, "run_command", { session_id, command: "true" });
  expect(late).toMatchObject({ isError: true, text: expect.stringMatching(/^session_(gone|ended): /) });
  await client.close();
});

it("an agent keeps files, forks, begins with them and deletes them [TRA-15]", async () => {
  const client = await connected(key);
  const { json: created } = await call(client, "create_session", { idle_timeout_seconds: 900 });
  const session_id = created["id"] as string;
  await call(client, "write_file", { session_id, path: "kept.txt", content: "kept" });
  const { json: taken } = await call(client, "take_snapshot", { session_id, name: "by-an-agent" });
  expect(taken).toMatchObject({ name: "by-an-agent", status: "ready" });
  const { json: listed } = await call(client, "list_snapshots", { session_id });
  expect(listed).toMatchObject({ snapshots: [{ id: taken["id"] }] });
  const { json: forked } = await call(client, "fork_session", { session_id, count: 1 });
  const [fork] = forked["forks"] as readonly { readonly session_id: string }[];
  const read = await call(client, "read_file", { session_id: fork?.session_id, path: "kept.txt" });
  expect(read.json).toMatchObject({ text: "kept" });
  const { json: gone } = await call(client, "delete_snapshot", { snapshot: "by-an-agent" });
  expect(gone).toMatchObject({ status: "deleted", deletion: { evidence: expect.stringContaining("found no file") } });
  const late = await call(client, "create_session", { snapshot: "by-an-agent" });
  expect(late).toMatchObject({ isError: true, text: expect.stringMatching(/^snapshot_missing: /) });
  for (const each of [session_id, fork?.session_id]) await call(client, "end_session", { session_id: each });
  await client.close();
});

it("an agent works inside: files, programs with two outputs, a server with its URL", async () => {
  const client = await connected(key);
  const { json: created } = await call(client, "create_session", { idle_timeout_seconds: 900 });
  const session_id = created["id"] as string;
  const page = "<h1>made by an agent</h1>";
  const written = await call(client, "write_file", { session_id, path: "site/index.html", content: page });
  expect(written.json).toMatchObject({ type: "file", size: page.length });
  const kept = { session_id, path: "site/index.html", content: "other", replace: false };
  expect(await call(client, "write_file", kept)).toMatchObject({ isError: true });
  expect((await call(client, "read_file", { session_id, path: "site/index.html" })).json).toMatchObject({ text: page });
  const part = await call(client, "read_file", { session_id, path: "site/index.html", offset: 4, bytes: 4 });
  expect(part.json).toMatchObject({ text: "made", size: page.length, next_offset: 8 });
  const listed = await call(client, "list_files", { session_id, depth: 2 });
  expect(listed.text).toContain("site/index.html");
  expect(await call(client, "read_file", { session_id, path: "nothing" })).toMatchObject({
    isError: true,
    text: expect.stringMatching(/^file_not_found: /),
  });
  const ran = await call(client, "exec", { session_id, command: "cat site/index.html; echo beside >&2; exit 4" });
  expect(ran.json).toMatchObject({ stdout: page, stderr: "beside\n", exit_code: 4 });

  const port = (await freePort(0)) ?? 0;
  const program = `require("http").createServer((q, a) => a.end(require("fs").readFileSync("site/index.html"))).listen(${port})`;
  const started = await call(client, "start_server", { session_id, command: `node -e '${program}'`, port });
  expect(started.json).toMatchObject({ says: `It listens on port ${port}.` });
  expect((await call(client, "list_ports", { session_id })).json).toMatchObject({ ports: [{ port }] });
  const { host, pathname, search } = new URL(started.json["url"] as string);
  // The host name is of this machine only for browsers.
  const token = new URLSearchParams(search).get("mooring_token") ?? "";
  const answer = await request(`${world.stack.url}${pathname}`, { host, "mooring-token": token });
  expect(answer).toBe(page);
  const failed = await call(client, "start_server", { session_id, command: "exit 7", port: port + 1 });
  expect(failed).toMatchObject({ isError: true, text: expect.stringContaining("exit code 7") });
  await call(client, "end_session", { session_id });
  await client.close();
});

it("an agent reads a long text in parts, and no character is cut in two", async () => {
  const client = await connected(key);
  const { json: created } = await call(client, "create_session", { idle_timeout_seconds: 900 });
  const session_id = created["id"] as string;
  const content = "a€ü😀b".repeat(20);
  await call(client, "write_file", { session_id, path: "long.txt", content });
  for (const bytes of [4, 5, 7, 11]) {
    let text = "";
    let offset = 0;
    do {
      const { json } = await call(client, "read_file", { session_id, path: "long.txt", offset, bytes });
      text += json["text"] as string;
      offset = (json["next_offset"] as number | undefined) ?? Infinity;
    } while (offset < Buffer.byteLength(content));
    expect(text, `${bytes} bytes at once`).toBe(content);
  }
  await call(client, "end_session", { session_id });
  await client.close();
});

it("an agent extends, pauses and resumes a session, and finds it by its template", async () => {
  const client = await connected(key);
  const { json: created } = await call(client, "create_session", { timeout_seconds: 600 });
  const session_id = created["id"] as string;
  await call(client, "write_file", { session_id, path: "kept.txt", content: "kept" });
  const { json: extended } = await call(client, "extend_session", { session_id, seconds: 900 });
  expect(Date.parse(extended["end_at"] as string)).toBeGreaterThan(Date.parse(created["end_at"] as string));
  expect((await call(client, "pause_session", { session_id })).isError).toBe(false);
  const status = async () => (await call(client, "explain_session", { session_id })).json["status"];
  await until("it is paused", async () => (await status()) === "paused");
  expect((await call(client, "run_command", { session_id, command: "true" })).text).toMatch(/^session_paused: /);
  expect((await call(client, "resume_session", { session_id })).json).toMatchObject({ status: "running" });
  expect((await call(client, "read_file", { session_id, path: "kept.txt" })).json).toMatchObject({ text: "kept" });
  const listed = async (template: string) => {
    const { json } = await call(client, "list_sessions", { template, status: "running" });
    return (json["data"] as readonly { readonly id: string }[]).map(({ id }) => id);
  };
  await until("the index has it", async () => (await listed("base")).includes(session_id));
  expect(await listed("python")).toEqual([]);
  await call(client, "end_session", { session_id });
  await client.close();
});

it("descriptions say what costs money and what cannot be undone; annotations agree", async () => {
  const [client, operator] = [await connected(key), await connected(world.stack.secrets.ADMIN_TOKEN)];
  const [mine, theirs] = [(await client.listTools()).tools, (await operator.listTools()).tools];
  const named = (name: string) => mine.find((tool) => tool.name === name);
  for (const name of ["create_session", "extend_session", "resume_session"])
    expect(named(name)?.description).toContain("COSTS MONEY");
  for (const tool of [...mine, ...theirs]) {
    const destructive = tool.annotations?.destructiveHint === true;
    expect([tool.name, destructive]).toEqual([tool.name, /cannot be undone/i.test(tool.description ?? "")]);
    expect(tool.inputSchema.type).toBe("object");
  }
  // Neither sees the other's tools.
  expect(mine.map(({ name }) => name)).not.toContain("attention");
  expect(theirs.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["attention", "fleet_stats", "plan_audit", "apply_audit"]),
  );
  expect(theirs.map(({ name }) => name)).not.toContain("create_session");
  await Promise.all([client.close(), operator.close()]);
});

it("an operator sees what needs attention, plans and applies", async () => {
  const operator = await connected(world.stack.secrets.ADMIN_TOKEN);
  const attention = await call(operator, "attention");
  expect(attention.json).toMatchObject({ figures: { balanced: true, stuck: 0 } });
  expect((await call(operator, "fleet_stats")).json).toHaveProperty("active");
  const plan = await call(operator, "plan_audit");
  expect(plan.json).toHaveProperty("plan_hash");
  const applied = await call(operator, "apply_audit", { plan_id: plan.json["id"], plan_hash: plan.json["plan_hash"] });
  expect(applied.json).toMatchObject({ failed: 0 });
  const stale = await call(operator, "apply_audit", { plan_id: plan.json["id"], plan_hash: "0".repeat(64) });
  expect(stale.isError).toBe(true);
  await operator.close();
});

it("an operator ends exactly what a plan named, and one session with a reason", async () => {
  const [client, operator] = [await connected(key), await connected(world.stack.secrets.ADMIN_TOKEN)];
  const create = async () => (await call(client, "create_session", { idle_timeout_seconds: 600 })).json["id"] as string;
  const status = async (session_id: string) =>
    (await call(operator, "explain_session", { session_id })).json["status"] as string;
  const [first, second] = [await create(), await create()];
  const terms = { max_age_seconds: 1, status: "running" };
  const plan = await until("a plan names both", async () => {
    const { json } = await call(operator, "plan_cleanup", terms);
    const named = (json["results"] as readonly { readonly id: string }[]).map(({ id }) => id);
    return named.includes(first) && named.includes(second) ? json : null;
  });
  expect(plan).toMatchObject({ dry_run: true });
  // Without the plan's hash nothing is ended, nor when it would end others by now.
  const order = { ...terms, reason: "a leak", plan_hash: plan["plan_hash"] };
  expect((await call(operator, "apply_cleanup", { ...terms, reason: "a leak" })).isError).toBe(true);
  await call(operator, "end_session", { session_id: first, reason: "it was asked for" });
  await until("the first has ended", async () => (await status(first)) === "terminated");
  const stale = await until("the plan is stale", async () => {
    const { json } = await call(operator, "plan_cleanup", terms);
    return json["plan_hash"] === plan["plan_hash"] ? null : await call(operator, "apply_cleanup", order);
  });
  expect(stale.isError).toBe(true);
  expect(await status(second)).toBe("running");
  const { json: fresh } = await call(operator, "plan_cleanup", terms);
  const done = await call(operator, "apply_cleanup", { ...order, plan_hash: fresh["plan_hash"] });
  expect(done.json).toMatchObject({ dry_run: false, ended: 1 });
  await until("the second has ended", async () => (await status(second)) === "terminated");
  expect((await call(operator, "end_session", { session_id: second })).isError).toBe(true);
  await Promise.all([client.close(), operator.close()]);
});

it("each tool was called by a test above", async () => {
  const [client, operator] = [await connected(key), await connected(world.stack.secrets.ADMIN_TOKEN)];
  for (const [of, { tools }] of [
    ["tenant", await client.listTools()],
    ["operator", await operator.listTools()],
  ] as const)
    expect([...called[of]].toSorted()).toEqual(tools.map(({ name }) => name).toSorted());
  await Promise.all([client.close(), operator.close()]);
});

it("a key that Mooring does not take is 401 before any tool is shown; other methods are refused", async () => {
  const answer = (headers: Record<string, string>, method = "POST") =>
    fetch(`${world.stack.url}/mcp`, {
      method,
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
      ...(method === "POST" ? { body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' } : {}),
    });
  for (const headers of [{}, { authorization: "Bearer mrg_x_y_z" }, { authorization: `Bearer ${"a".repeat(64)}` }]) {
    const refused = await answer(headers);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain("Bearer");
    expect(await refused.json()).toMatchObject({ code: "unauthorized" });
  }
  expect((await answer({ authorization: `Bearer ${key}` }, "GET")).status).toBe(405);
});

async function request(url: string, headers: Record<string, string>): Promise<string> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    sendRequest(url, { headers }).once("response", resolve).once("error", reject).end();
  });
  return (await bodyOf(answer)).text;
}
