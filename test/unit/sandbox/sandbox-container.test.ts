/**
 * The shell over the SDK's real class: `Sandbox` itself, loaded in Node with a stand-in for `cloudflare:workers`, over a container and a
 * storage that count what is done to them. Shows that no path of the SDK starts what the fence refuses, that the SDK's idea of
 * idleness ends nothing that was renewed, and that its hung calls keep nothing awake.
 */
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  containerId,
  type Generation,
  type InstanceId,
  type SandboxId,
  type SessionId,
} from "../../../src/domain/state/ids.ts";
import { wrapperProof } from "../../../src/protocol/sandbox/wrapper.ts";
import type { LaunchOrder } from "../../../src/sandbox/agent-sandbox.ts";
import { type ContainerWiring, sandboxContainer } from "../../../src/sandbox/cloudflare/sdk/sandbox-container.ts";
import { systemIds } from "../../support/system-runtime.ts";

const sleepAfterMs = 600_000;

class CountingContainer {
  running = false;
  starts = 0;
  destroys = 0;
  signals: number[] = [];
  /** What `running` says next, before the truth again. */
  readonly pretends: boolean[] = [];
  answer: (request: Request) => Promise<Response> = () =>
    Promise.reject(new Error("The container is not listening to port 8700"));
  #ended: (() => void)[] = [];

  start(): void {
    this.starts += 1;
    this.running = true;
  }
  monitor(): Promise<void> {
    return new Promise((resolve) => this.#ended.push(resolve));
  }
  async destroy(): Promise<void> {
    this.destroys += 1;
    this.running = false;
    for (const ended of this.#ended.splice(0)) ended();
  }
  signal(signal: number): void {
    this.signals.push(signal);
  }
  getTcpPort() {
    return { fetch: (url: string, init?: RequestInit) => this.answer(new Request(url, init)) };
  }
}

function storage() {
  const rows = new Map<string, unknown>();
  const sql = new DatabaseSync(":memory:");
  const state = { alarm: null as number | null };
  const kv = { get: (key: string) => rows.get(key), put: (key: string, value: unknown) => void rows.set(key, value) };
  return {
    state,
    rows,
    kv,
    sql: { exec: (query: string, ...values: (string | number | null)[]) => sql.prepare(query).all(...values) },
    get: async (key: string) => rows.get(key),
    put: async (key: string, value: unknown) => void rows.set(key, value),
    delete: async (key: string) => rows.delete(key),
    list: async () => new Map(),
    sync: async () => {},
    setAlarm: async (at: number | Date) => void (state.alarm = Number(at)),
    getAlarm: async () => state.alarm,
    deleteAlarm: async () => void (state.alarm = null),
    deleteAll: async () => {
      rows.clear();
      sql.exec("DROP TABLE IF EXISTS container_schedules");
      state.alarm = null;
    },
    transaction: async <T>(run: (of: unknown) => Promise<T>) =>
      run({ get: async () => undefined, put: async () => {} }),
  };
}

function construct(stored = storage(), container = new CountingContainer()) {
  const wiring: ContainerWiring = {
    sleepAfterMs,
    bucket: null,
    clock: { now: () => Date.now(), sleep: (ms, signal) => sleeping(ms, signal) },
    ids: systemIds,
    logger: { info: () => {}, warn: () => {}, error: () => {} },
  };
  const Shell = sandboxContainer<object>(() => wiring);
  const ctx = {
    id: { toString: () => "object-1" },
    storage: stored,
    container,
    blockConcurrencyWhile: (run: () => Promise<unknown>) => run(),
    abort: () => {},
    // What the entry point exports (src/index.ts).
    exports: { ContainerProxy: () => ({}) },
  };
  const object = new Shell(ctx as unknown as DurableObjectState<object>, {});
  return { object, container, stored };
}

function sleeping(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const container = containerId(`${"s".repeat(20)}-g1` as SandboxId);
const order: LaunchOrder = {
  sessionId: "s".repeat(20) as SessionId,
  sandboxId: `${"s".repeat(20)}-g7` as SandboxId,
  generation: 7 as Generation,
  instanceId: "i1" as InstanceId,
  secret: "x".repeat(64),
  launchNotAfter: Number.MAX_SAFE_INTEGER,
  leaseTtlMs: 300_000,
  jobGraceMs: 3_000,
  stopGraceMs: 5_000,
  env: {},
};

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "info").mockImplementation(() => {});
  vi.spyOn(console, "debug").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Calls it, and lets as much time pass as the SDK would ever retry for. */
async function given(call: () => unknown): Promise<void> {
  const called = Promise.resolve()
    .then(call)
    .catch(() => {});
  await Promise.race([called, vi.advanceTimersByTimeAsync(300_000)]);
}

describe("the fence over the SDK's real class", () => {
  type Shell = ReturnType<typeof construct>["object"];
  const paths: readonly (readonly [string, (object: Shell) => unknown])[] = [
    ["start", (object) => object.start()],
    [
      "startAndWaitForPorts",
      (object) => (object as unknown as { startAndWaitForPorts(): unknown }).startAndWaitForPorts(),
    ],
    ["exec", (object) => object.exec("true")],
    ["startProcess", (object) => object.startProcess("true")],
    ["listProcesses", (object) => object.listProcesses()],
    ["killProcess", (object) => object.killProcess("p1")],
    ["getProcessLogs", (object) => object.getProcessLogs("p1")],
    ["writeFile", (object) => object.writeFile("/tmp/x", "x")],
    ["readFile", (object) => object.readFile("/tmp/x")],
    ["mkdir", (object) => object.mkdir("/tmp/y")],
    ["gitCheckout", (object) => object.gitCheckout("https://example.com/a.git", {})],
    ["createSession", (object) => object.createSession({})],
    ["containerFetch", (object) => object.containerFetch("http://x/", {}, 3_000)],
    ["fetch", (object) => object.fetch(new Request("http://x/"))],
    ["look", (object) => object.look(order, 1_000)],
    ["stopInstance", (object) => object.stopInstance(order, 100, 1_000)],
    ["readLogs", (object) => object.readLogs(order, 10, 1_000)],
    ["readResources", (object) => object.readResources(order, 1_000)],
    ["a look at a member", (object) => object.look({ ...order, container }, 1_000)],
    ["a stop of a member", (object) => object.stopInstance({ ...order, container }, 100, 1_000)],
    ["lookAtContainer", (object) => object.lookAtContainer(1_000)],
    ["retireContainer", (object) => object.retireContainer(1_000)],
    ["destroyContainer", (object) => object.destroyContainer(1_000)],
    ["inspectCapacity", (object) => object.inspectCapacity({ ...order, container }, 1_000)],
    ["reclaim", (object) => object.reclaim({ ...order, container }, 1_000)],
    ["alarm", (object) => object.alarm()],
    ["destroy", (object) => object.destroy()],
  ];
  it.each(paths)("%s starts no container that no launch asked for [PHY-7]", async (_, call) => {
    const { object, container } = construct();
    await given(() => call(object));
    expect(container.starts).toBe(0);
  });

  it("a container that stops between the SDK's check and its start is not started", async () => {
    const { object, container } = construct();
    let asked = 0;
    // It runs when the override asks, and not when the SDK does a moment later.
    Object.defineProperty(container, "running", { get: () => (asked += 1) === 1, configurable: true });
    await given(() => (object as unknown as { startAndWaitForPorts(): unknown }).startAndWaitForPorts());
    expect(asked).toBeGreaterThan(1);
    expect(container.starts).toBe(0);
  });

  it("a launch starts it, a retired one does not, and what fails is ended again [PHY-15]", async () => {
    const { object, container } = construct();
    const launched = object.launch(order, 60_000);
    await vi.advanceTimersByTimeAsync(120_000);
    // Nobody listens in this container: the launch fails, having ended what it started.
    expect(await launched).toMatchObject({ ok: false, failure: { effect: "none" } });
    expect(container.starts).toBeGreaterThan(0);
    expect(container.running).toBe(false);
    const { starts } = container;
    const retired = object.retire(order, 10_000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await retired).toMatchObject({ ok: true });
    expect(await object.launch(order, 60_000)).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
    expect(container.starts).toBe(starts);
  });

  it("a member's launch starts a shared container, and never one that is retired; what fails leaves it to its registry [CAP-10]", async () => {
    const { object, container: standIn } = construct();
    const launched = object.launchMember({ ...order, container }, 60_000);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await launched).toMatchObject({ ok: false });
    expect(standIn.starts).toBeGreaterThan(0);
    expect(standIn).toMatchObject({ running: true, destroys: 0 });
    const retired = object.retireContainer(10_000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await retired).toMatchObject({ ok: true });
    const ended = object.destroyContainer(10_000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await ended).toMatchObject({ ok: true });
    expect(standIn.running).toBe(false);
    const { starts } = standIn;
    const late = {
      ...order,
      container,
      instanceId: "i2" as InstanceId,
      sandboxId: `${"t".repeat(20)}-g7` as SandboxId,
    };
    expect(await object.launchMember(late, 60_000)).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
    expect(standIn.starts).toBe(starts);
  });

  it("keepAlive is refused", async () => {
    await expect(construct().object.setKeepAlive(true)).rejects.toThrow(/renewed lease/);
  });
});

describe("the platform's own end of an idle container", () => {
  /** A container with a wrapper that was launched and proved itself once. */
  function running() {
    const stored = storage();
    const armed = { sessionId: order.sessionId, generation: 7, instanceId: "i1", ready: true, starts: 1 };
    stored.rows.set("mooring:object", {
      boot: "b",
      awakeUntil: Date.now() + sleepAfterMs,
      destroys: 0,
      erasedAt: null,
    });
    stored.rows.set(`mooring:place:${order.sandboxId}`, { sandboxId: order.sandboxId, armed, retiredThrough: null });
    const container = new CountingContainer();
    container.running = true;
    container.answer = async (request) =>
      new Response("{}", {
        headers: { "mooring-proof": await wrapperProof(order.secret, request.headers.get("mooring-nonce") ?? "") },
      });
    return construct(stored, container);
  }

  async function renew(object: ReturnType<typeof running>["object"], path = "/lease"): Promise<void> {
    const nonce = "0".repeat(32);
    const proof = await wrapperProof(order.secret, nonce);
    const answer = await object.callWrapper(
      { aim: order, method: "POST", path, headers: [["mooring-nonce", nonce]], body: "{}", proof },
      1_000,
    );
    expect(answer.ok).toBe(true);
  }

  /** The platform's alarm loop, for so long. */
  async function live(object: { alarm(): Promise<void> }, ms: number, each: () => Promise<void>): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until) {
      const loop = object.alarm();
      await vi.advanceTimersByTimeAsync(60_000);
      await each();
      await vi.advanceTimersByTimeAsync(180_000);
      await loop;
    }
  }

  it("never ends a session that is renewed, however long it lives [CLK-12]", async () => {
    const { object, container } = running();
    await live(object, 6 * 3_600_000, () => renew(object));
    expect(container).toMatchObject({ running: true, destroys: 0, signals: [] });
  });

  it("does not wait for ever: without renewals the container is destroyed, not asked [CLK-12]", async () => {
    const { object, container } = running();
    // Requests of every other kind, and the SDK's own calls, keep nothing awake.
    await live(object, 20 * 60_000, async () => {
      if (container.running) await renew(object, "/jobs");
    });
    expect(container).toMatchObject({ running: false, signals: [] });
    expect(container.destroys).toBeGreaterThan(0);
  });

  it("a call of the SDK that hangs counts as activity there, and not here [CLK-12]", async () => {
    const { object, container } = running();
    container.answer = () => new Promise(() => {});
    (object as unknown as { inflightRequests: number }).inflightRequests = 1;
    await live(object, 20 * 60_000, async () => {});
    expect(container.running).toBe(false);
  });

  it("an eviction does not renew it: the next incarnation knows since when [CLK-12]", async () => {
    const { container, stored } = running();
    for (let turn = 0; turn < 5; turn += 1) {
      await vi.advanceTimersByTimeAsync(240_000);
      const loop = construct(stored, container).object.alarm();
      await vi.advanceTimersByTimeAsync(200_000);
      await loop;
    }
    expect(container.running).toBe(false);
  });
});

describe("the SDK's own client", () => {
  it("reaches the server in a container that runs, past what this object takes from others [CON-11]", async () => {
    const container = new CountingContainer();
    container.running = true;
    const asked: string[] = [];
    container.answer = async (request) => {
      // How the SDK sees whether its server is up.
      if (request.headers.get("upgrade") === null) return new Response("{}");
      asked.push(`${new URL(request.url).pathname} ${request.headers.get("upgrade")}`);
      throw new Error("Network connection lost.");
    };
    const stored = storage();
    stored.rows.set("__CF_CONTAINER_STATE", { status: "healthy", lastChange: Date.now() });
    const { object } = construct(stored, container);
    await given(() => object.exec("true"));
    expect(asked).toContain("/rpc websocket");
  });

  it("and nobody else does", async () => {
    const { object, container } = construct();
    container.running = true;
    container.answer = () => Promise.reject(new Error("It was reached."));
    const headers = { upgrade: "websocket", connection: "upgrade" };
    const answer = await object.fetch(new Request("http://localhost:3000/rpc", { headers }));
    expect(answer.status).toBe(409);
  });
});

describe("what is left behind", () => {
  it("an object that was only looked at erases itself", async () => {
    const { object, stored } = construct();
    await object.look(order, 1_000);
    await object.alarm();
    expect(stored.rows.size).toBe(0);
    expect(stored.state.alarm).toBeNull();
  });

  it("an erased one keeps its tombstone for an hour, then nothing", async () => {
    const { object, stored } = construct();
    const retiring = object.retire(order, 1_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await retiring;
    expect(await object.erase(order, 1_000)).toMatchObject({ ok: true });
    await vi.advanceTimersByTimeAsync(60_000);
    await object.alarm();
    expect(await object.launch(order, 1_000)).toMatchObject({ failure: { code: "refused_retired" } });
    expect(stored.state.alarm).toBeGreaterThan(Date.now());
    await vi.advanceTimersByTimeAsync(3_600_000);
    await object.alarm();
    expect(stored.rows.size).toBe(0);
    expect(stored.state.alarm).toBeNull();
    expect(await object.launch(order, 1_000)).toMatchObject({ ok: false, failure: { effect: "none" } });
  });
});
