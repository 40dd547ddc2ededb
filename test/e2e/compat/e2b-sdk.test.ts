/** E2B's own SDK, unmodified, as the client: workerd, the local host, real processes. Each test has a tenant, so a list, of its own. */
import { spawn } from "node:child_process";
import { AuthenticationError, E2B, RateLimitError, SandboxNotFoundError } from "e2b";
import { afterAll, beforeAll, expect, it } from "vitest";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import { Api } from "../../../scripts/stack/api.ts";
import { eventPage } from "../../../src/protocol/resources/session/events.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
beforeAll(async () => {
  world = await temporaryStack({ vars: { ...calmVars, TENANT_MAX_SANDBOXES: "4" } });
});
afterAll(() => world.stop());

interface Tenant {
  readonly key: string;
  readonly Sandbox: E2B["Sandbox"];
  /** The native API, for what E2B's does not show. */
  readonly api: Api;
}

async function tenant(name: string): Promise<Tenant> {
  const { url } = world.stack;
  const key = await world.stack.apiKey(name);
  // What E2B_API_URL, E2B_SANDBOX_URL and E2B_API_KEY say, for one client.
  const { Sandbox } = new E2B({ apiKey: key, apiUrl: url, sandboxUrl: url });
  return { key, Sandbox, api: new Api(url, key, new AbortController().signal) };
}

async function outputOf(api: Api, id: string, command: string): Promise<string> {
  const job = await api.run(id, { command });
  const ended = await until(`job ${job.id} ends`, async () => {
    const view = await api.job(id, job.id);
    return view.ended_at === null ? null : view;
  });
  return ended.output_tail ?? "";
}

async function eventsOf(url: string, key: string, id: string): Promise<readonly string[]> {
  const reply = await fetch(`${url}/v1/sessions/${id}/events?limit=100`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return eventPage.parse(await reply.json()).data.map(({ type }) => type);
}

const minutesOff = (at: Date): number => Math.round((at.getTime() - Date.now()) / 60_000);

it("the example, which knows nothing of Mooring, does its work with three variables set [API-8]", async () => {
  const { url } = world.stack;
  const run = spawn("node", ["examples/e2b.ts"], {
    cwd: repository,
    env: toolEnvironment({
      E2B_API_URL: url,
      E2B_SANDBOX_URL: url,
      E2B_API_KEY: await world.stack.apiKey("example"),
    }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  run.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  expect(await new Promise((resolve) => run.on("close", resolve))).toBe(0);
  expect(said.replace(/^created \w{20}/, "created ID").split("\n")).toEqual([
    "created ID, running: true",
    "listed: true",
    "ends in 10 minutes",
    "paused, running: false",
    "connected, running: true",
    "killed: true, once more: false",
    "gone",
    "",
  ]);
});

it("a sandbox has E2B's clock, its metadata and its variables, and the native API sees the same [API-8]", async () => {
  const { Sandbox, api } = await tenant("clock");
  const metadata = { user: "ada", "Büro: 3. Stock": "x=1&y=2 % + é 🦀", pct: "100%25" };
  const sandbox = await Sandbox.create("my-template", { metadata, envs: { GREETING: "hello" } });
  const info = await sandbox.getInfo();
  expect(info).toMatchObject({ sandboxId: sandbox.sandboxId, templateId: "my-template", metadata, state: "running" });
  expect(info.lifecycle).toEqual({ onTimeout: "kill", autoResume: false });
  expect(info.endAt.getTime() - info.startedAt.getTime()).toBe(300_000);
  // Nobody ends it for being idle.
  expect(await api.session(sandbox.sandboxId)).toMatchObject({
    timeout_seconds: 300,
    idle_timeout_seconds: null,
    end_at: info.endAt.toISOString(),
    labels: { user: "ada", pct: "100%25" },
  });
  expect(await outputOf(api, sandbox.sandboxId, 'echo "$GREETING"')).toBe("hello\n");
  await sandbox.setTimeout(20 * 60_000);
  expect(minutesOff((await sandbox.getInfo()).endAt)).toBe(20);
  await sandbox.setTimeout(2 * 60_000);
  expect(minutesOff((await sandbox.getInfo()).endAt)).toBe(2);
  // A connect only ever extends.
  await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 1_000 });
  expect(minutesOff((await sandbox.getInfo()).endAt)).toBe(2);
  await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 30 * 60_000 });
  expect(minutesOff((await sandbox.getInfo()).endAt)).toBe(30);
  // Zero and less are sent, and mean now.
  await sandbox.setTimeout(-1_000);
  expect(await sandbox.isRunning()).toBe(false);
  expect((await api.session(sandbox.sandboxId)).terminate_reason).toBe("timeout");
});

it("lists are paged, ordered and filtered by state, metadata, template and start [API-8]", async () => {
  const { Sandbox } = await tenant("lists");
  const ids: string[] = [];
  const odd = { "a b&c=d": "é %20 +", shared: "yes" };
  for (const [template, metadata] of [
    ["base", { shared: "yes" }],
    ["other", odd],
    ["base", { shared: "yes", third: "3" }],
    ["base", {}],
  ] as const) {
    ids.push((await Sandbox.create(template, { metadata })).sandboxId);
  }
  const all = async (options: Parameters<typeof Sandbox.list>[0]) => {
    const paginator = Sandbox.list(options);
    const pages: string[][] = [];
    while (paginator.hasNext) pages.push((await paginator.nextItems()).map(({ sandboxId }) => sandboxId));
    return pages;
  };
  const [one = "", two = "", three = "", four = ""] = ids;
  expect(await all({})).toEqual([[four, three, two, one]]);
  expect(await all({ limit: 2 })).toEqual([
    [four, three],
    [two, one],
  ]);
  expect(await all({ limit: 3, order: "asc" })).toEqual([[one, two, three], [four]]);
  expect(await all({ query: { metadata: { shared: "yes" } }, limit: 1 })).toEqual([[three], [two], [one]]);
  expect(await all({ query: { metadata: odd } })).toEqual([[two]]);
  expect(await all({ query: { metadata: { shared: "yes", third: "4" } } })).toEqual([[]]);
  expect(await all({ query: { template: "other" } })).toEqual([[two]]);
  const { startedAt } = await Sandbox.getInfo(three);
  expect(await all({ query: { startedAfter: startedAt } })).toEqual([[four, three]]);
  await Sandbox.pause(two);
  await until("the list has it as paused", async () => (await all({ query: { state: ["paused"] } })).join() === two);
  expect(await all({ query: { state: ["running"] } })).toEqual([[four, three, one]]);
  expect(await all({ query: { state: ["running", "paused"] } })).toEqual([[four, three, two, one]]);
  // Whoever killed it and lists next no longer finds it: nobody has to wait for the index.
  await Sandbox.kill(four);
  expect(await all({})).toEqual([[three, two, one]]);
  await Sandbox.setTimeout(one, 0);
  expect(await all({})).toEqual([[three, two]]);
  await Promise.all(ids.map((id) => Sandbox.kill(id)));
  expect(await all({})).toEqual([[]]);
});

it("a pause keeps the files, reads leave it paused, and however many connects at once resume it once [API-8] [CLK-15]", async () => {
  const { key, Sandbox, api } = await tenant("pauses");
  const sandbox = await Sandbox.create({ lifecycle: { onTimeout: "pause", autoResume: true } });
  const { sandboxId } = sandbox;
  expect((await sandbox.getInfo()).lifecycle).toEqual({ onTimeout: "pause", autoResume: true });
  await outputOf(api, sandboxId, "echo kept > notes.txt");
  const before = await api.session(sandboxId);
  expect([await sandbox.pause(), await sandbox.pause()]).toEqual([true, false]);
  expect(await sandbox.isRunning()).toBe(false);
  expect((await sandbox.getInfo()).state).toBe("paused");
  expect(await sandbox.getMetrics()).toEqual([]);
  await Sandbox.list().nextItems();
  expect(await api.session(sandboxId)).toMatchObject({ status: "paused", generation: before.generation });
  const connected = await Promise.all(Array.from({ length: 10 }, () => Sandbox.connect(sandboxId)));
  for (const each of connected) expect(await each.isRunning()).toBe(true);
  expect((await eventsOf(world.stack.url, key, sandboxId)).filter((type) => type === "resuming")).toHaveLength(1);
  expect(await outputOf(api, sandboxId, "cat notes.txt")).toBe("kept\n");
  // Its own end pauses it, and a job wakes it.
  await sandbox.setTimeout(0);
  await until("it is paused by its own end", async () => (await api.session(sandboxId)).status === "paused");
  expect(await outputOf(api, sandboxId, "cat notes.txt")).toBe("kept\n");
  expect(await sandbox.kill()).toBe(true);
});

it("errors are the SDK's own: 401, 404 (another tenant's too), 429 [API-8] [API-3]", async () => {
  const { Sandbox } = await tenant("errors");
  const stranger = await tenant("stranger");
  await expect(Sandbox.create({ apiKey: "e2b_0123" })).rejects.toThrow(AuthenticationError);
  await expect(Sandbox.list({ apiKey: world.stack.secrets.ADMIN_TOKEN }).nextItems()).rejects.toThrow(
    AuthenticationError,
  );
  const sandbox = await Sandbox.create();
  const { sandboxId } = sandbox;
  for (const id of [sandboxId, "neverexisted00000000", "not-an-id", "..%2f.."]) {
    await expect(stranger.Sandbox.getInfo(id)).rejects.toThrow(SandboxNotFoundError);
    await expect(stranger.Sandbox.setTimeout(id, 1_000)).rejects.toThrow(SandboxNotFoundError);
    await expect(stranger.Sandbox.connect(id)).rejects.toThrow(SandboxNotFoundError);
    await expect(stranger.Sandbox.pause(id)).rejects.toThrow(SandboxNotFoundError);
    await expect(stranger.Sandbox.getMetrics(id)).rejects.toThrow(SandboxNotFoundError);
    expect(await stranger.Sandbox.kill(id)).toBe(false);
  }
  expect(await sandbox.isRunning()).toBe(true);
  // Two clients kill at once: one of them did.
  const kills = await Promise.all([Sandbox.kill(sandboxId), Sandbox.kill(sandboxId), Sandbox.kill(sandboxId)]);
  expect(kills.toSorted()).toEqual([false, false, true]);
  expect(await sandbox.isRunning()).toBe(false);
  const full = await Promise.allSettled(Array.from({ length: 7 }, () => stranger.Sandbox.create()));
  const refused = full.filter((each) => each.status === "rejected");
  expect(refused).toHaveLength(3);
  for (const { reason } of refused) {
    expect(reason).toBeInstanceOf(RateLimitError);
    expect(String(reason)).toContain("Maximum sandbox limit reached");
  }
});

it("metrics are measured, and what is not served says so instead of pretending [API-8]", async () => {
  const { Sandbox } = await tenant("measures");
  const sandbox = await Sandbox.create();
  const metrics = await sandbox.getMetrics();
  expect(metrics.length).toBeGreaterThan(0);
  for (const { memUsed, cpuCount, timestamp } of metrics) {
    expect(memUsed).toBeGreaterThan(1_000_000);
    expect([cpuCount, timestamp.getTime() > Date.now() - 60_000]).toEqual([1, true]);
  }
  expect(await sandbox.getMetrics({ end: new Date(Date.now() - 3_600_000) })).toEqual([]);
  // The local host cannot keep a sandbox from the network, and no rules are kept anywhere.
  await sandbox.updateNetwork({});
  await expect(sandbox.updateNetwork({ allowInternetAccess: false })).rejects.toThrow(/cannot keep a sandbox from/);
  await expect(Sandbox.create({ allowInternetAccess: false })).rejects.toThrow(/cannot keep a sandbox from/);
  await expect(Sandbox.create({ network: { denyOut: ["8.8.8.8"] } })).rejects.toThrow(/can be denied here/);
  expect(await sandbox.isRunning()).toBe(true);
  // Released SDKs send it with every pause: it is the default there. Files are kept, memory is not.
  expect(await sandbox.pause({ keepMemory: true })).toBe(true);
  expect(await sandbox.kill()).toBe(true);
});

it("older clients' paths: /sandboxes, /refreshes, /resume [API-8]", async () => {
  const { key, Sandbox, api } = await tenant("older");
  const call = (method: string, path: string, body?: object) =>
    fetch(`${world.stack.url}${path}`, {
      method,
      headers: { "x-api-key": key, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const made = (await (await call("POST", "/sandboxes", { templateID: "base", timeout: 60, secure: true })).json()) as {
    readonly sandboxID: string;
  };
  const path = `/sandboxes/${made.sandboxID}`;
  expect((await call("POST", `${path}/refreshes`, { duration: 600 })).status).toBe(204);
  expect(minutesOff(new Date((await api.session(made.sandboxID)).end_at))).toBe(10);
  expect((await call("POST", `${path}/refreshes`, { duration: 10 })).status).toBe(204);
  expect(minutesOff(new Date((await api.session(made.sandboxID)).end_at))).toBe(10);
  expect((await call("POST", `${path}/resume`, { timeout: 60 })).status).toBe(409);
  expect((await call("POST", `${path}/pause`)).status).toBe(204);
  expect(await (await call("GET", "/sandboxes")).json()).toEqual([]);
  expect((await call("POST", `${path}/resume`, { timeout: 60, autoPause: true })).status).toBe(201);
  const listed = (await (await call("GET", "/sandboxes")).json()) as readonly { readonly sandboxID: string }[];
  expect(listed.map(({ sandboxID }) => sandboxID)).toEqual([made.sandboxID]);
  expect([await Sandbox.kill(made.sandboxID), (await call("DELETE", path)).status]).toEqual([true, 404]);
});
