/**
 * A provider that has no instance to give, as a client meets it: the real routes and objects in workerd, and a world that
 * takes no more sandboxes than it has room for.
 */
import { afterEach, describe, expect, it } from "vitest";
import { eventPage } from "../../src/protocol/resources/session/events.ts";
import { explainView } from "../../src/protocol/resources/session/explain.ts";
import { sessionView, type SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { holdToDocument } from "../support/documented.ts";
import { bodyOf, keyOf } from "../support/workers/mooring.ts";
import { riggedSend } from "../support/workers/rigged-http.ts";
import { now, policy, Rigged, setAhead, world } from "../support/workers/rigged-session.ts";

const second = 1_000;
const lasting = { idle_timeout_seconds: null } as const;
let tenants = 0;

afterEach(() => world.mischief.limitInstances(null));

/** A tenant as its client sees it. */
class Client {
  readonly tenant = `full-${(tenants += 1)}`;

  async send(method: string, path: string, json?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const key = await keyOf(this.tenant);
    const reply = await riggedSend(method, path, { key, headers, ...(json === undefined ? {} : { json }) });
    await holdToDocument(method, path, reply);
    return reply;
  }

  create(name: string, wait = 0): Promise<Response> {
    const prefer: Record<string, string> = wait === 0 ? {} : { prefer: `wait=${wait}` };
    return this.send("POST", "/v1/sessions", lasting, { "idempotency-key": name, ...prefer });
  }

  async running(name: string): Promise<Rigged> {
    const made = await this.create(name, 60);
    expect(made.status).toBe(201);
    return new Rigged(this.tenant, (await bodyOf(made, sessionView)).id);
  }

  async read(session: Rigged): Promise<SessionView> {
    return await bodyOf(await this.send("GET", `/v1/sessions/${session.id}`), sessionView);
  }

  /** One that was asked for while there is no instance. */
  async blocked(name: string): Promise<{ readonly session: Rigged; readonly view: SessionView }> {
    const made = await this.create(name, 1);
    expect(made.status).toBe(202);
    const { id } = await bodyOf(made, sessionView);
    expect(made.headers.get("location")).toBe(`/v1/sessions/${id}`);
    const session = new Rigged(this.tenant, id);
    // The answer came after a second, whether or not the first launch had been refused by then.
    await expect.poll(async () => (await this.read(session)).blocked).not.toBeNull();
    return { session, view: await this.read(session) };
  }
}

/** No room for one more than are there now. */
function full(retryAfterMs: number | null = null): void {
  world.mischief.limitInstances(new Set(world.processes().map(({ sandboxId }) => sandboxId)).size, retryAfterMs);
}

const launchesOf = (session: Rigged) => session.calls("launch").length;

describe("a create while the provider has no instance", () => {
  it("is a 202 that says what blocks it and when it is tried again, and runs once another has ended [CAP-9] [CAP-6]", async () => {
    const client = new Client();
    const other = await client.running("first");
    full();
    const { session, view } = await client.blocked("second");
    expect(view).toMatchObject({ status: "provisioning", terminate_reason: null, blocked: { code: "no_capacity" } });
    expect(Date.parse(view.blocked?.since ?? "")).toBeLessThanOrEqual(now());
    expect(Date.parse(view.blocked?.retry_at ?? "")).toBeGreaterThan(now() - second);
    expect(session.processes()).toEqual([]);
    // It may launch at any moment, so it counts; it is one reservation however often it is tried.
    await expect
      .poll(() => session.registry.ledger())
      .toMatchObject({ used: 2, counts: { granted: 2, launching: 1 }, imbalances: [] });

    await client.send("DELETE", `/v1/sessions/${other.id}`);
    await other.driveTo("terminated");
    const running = await session.driveTo("running");
    expect(running).toMatchObject({ blocked: null, created_at: view.created_at });
    expect(new Set(session.processes().map(({ generation }) => generation))).toEqual(new Set([running.generation]));
    await expect
      .poll(() => session.registry.ledger())
      .toMatchObject({ used: 1, counts: { granted: 2, held: 1, proven: 1 }, imbalances: [] });
    expect(await session.registry.breaker()).toEqual({ type: "closed", failures: [] });
    await client.send("DELETE", `/v1/sessions/${session.id}`);
    await session.driveTo("terminated");
    await expect.poll(() => session.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
  });

  it("is tried again by a stored backoff that doubles, survives its object, and is never hurried by who reads or repeats [CAP-9] [LEA-7] [API-1]", async () => {
    const client = new Client();
    full();
    const { session, view } = await client.blocked("patient");
    const waits: number[] = [];
    for (let tries = launchesOf(session); tries < 5; tries += 1) {
      const before = (await client.read(session)).blocked;
      await session.crash();
      // From storage alone, with an alarm for it.
      const stored = await client.read(session);
      expect(stored.blocked).toEqual(before);
      const retryAt = Date.parse(stored.blocked?.retry_at ?? "");
      expect(await session.alarm()).toBeLessThanOrEqual(retryAt);
      expect(stored.blocked?.since).toBe(view.blocked?.since);
      const replay = await client.create("patient");
      expect(replay.headers.get("idempotency-replayed")).toBe("true");
      expect(await bodyOf(replay, sessionView)).toMatchObject({ id: session.id, blocked: before });
      setAhead(retryAt - now() - second / 2);
      await session.wake();
      expect(launchesOf(session)).toBe(tries);
      setAhead(second);
      const asked = now();
      await session.wake();
      expect(launchesOf(session)).toBe(tries + 1);
      waits.push(Date.parse((await client.read(session)).blocked?.retry_at ?? "") - asked);
    }
    for (const [index, wait] of waits.entries()) {
      const plain = policy.launchBackoffBaseMs * 2 ** (index + 5 - waits.length);
      expect(wait).toBeGreaterThanOrEqual(plain * (1 - policy.stopBackoffJitter));
      expect(wait).toBeLessThanOrEqual(plain * (1 + policy.stopBackoffJitter) + second);
    }
  });

  it("waits as long as the provider says [CAP-9]", async () => {
    const client = new Client();
    full(45 * second);
    const asked = now();
    const { session, view } = await client.blocked("told");
    expect(Date.parse(view.blocked?.retry_at ?? "")).toBeGreaterThanOrEqual(asked + 45 * second);
    setAhead(40 * second);
    await session.wake();
    expect(launchesOf(session)).toBe(1);
  });

  it("says so in explain and in its events, with the calls that help [CAP-9] [API-9] [REB-6]", async () => {
    const client = new Client();
    full();
    const { session } = await client.blocked("told");
    const path = `/v1/sessions/${session.id}`;
    const explained = await bodyOf(await client.send("GET", `${path}/explain`), explainView);
    expect(explained).toMatchObject({
      status: "provisioning",
      blocked: { code: "no_capacity", says: expect.stringContaining("no capacity") },
      next_call: { method: "GET", path },
    });
    expect(explained.alive).toContain("no container instance is available");
    expect(explained.blocked?.retry_at).toBe((await client.read(session)).blocked?.retry_at);
    const { data } = await bodyOf(await client.send("GET", `${path}/events?limit=100`), eventPage);
    expect(data.filter(({ type }) => type === "launch_waits")).toMatchObject([{ facts: { code: "no_capacity" } }]);
    expect(data.map(({ type }) => type)).not.toContain("launch_failed");
  });

  it("may be ended at any time: quota comes back by proof, and nothing is launched any more [CAP-9] [DEL-1] [CAP-6]", async () => {
    const client = new Client();
    full();
    const { session } = await client.blocked("unwanted");
    const tries = launchesOf(session);
    expect((await client.send("DELETE", `/v1/sessions/${session.id}`)).status).toBe(202);
    world.mischief.limitInstances(null);
    const ended = await session.driveTo("terminated");
    expect(ended).toMatchObject({ terminate_reason: "requested", blocked: null });
    expect(ended.teardown?.verified_absent_at).not.toBeNull();
    expect(launchesOf(session)).toBe(tries);
    await expect.poll(() => session.registry.ledger()).toMatchObject({ used: 0, counts: { granted: 1, proven: 1 } });
  });

  it("for the whole provision deadline ends plainly: failed for want of room, which is no mark against the tenant [CAP-9] [CAP-8]", async () => {
    const client = new Client();
    full();
    const { session } = await client.blocked("hopeless");
    const ended = await session.driveTo("failed", 1_200);
    expect(ended).toMatchObject({ terminate_reason: "provision_timeout" });
    await expect.poll(() => session.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(await session.registry.breaker()).toEqual({ type: "closed", failures: [] });
  });
});

describe("a resume while the provider has no instance", () => {
  it("waits visibly, and past its deadline the session is paused again, its snapshot kept and nobody's fault [CAP-9] [LEA-22] [CAP-8]", async () => {
    const client = new Client();
    const session = await client.running("sleeper");
    const path = `/v1/sessions/${session.id}`;
    await client.send("POST", `${path}/pause`);
    await session.driveTo("paused");
    full();
    expect((await client.send("POST", `${path}/resume`, {}, { prefer: "wait=1" })).status).toBe(202);
    await expect
      .poll(() => client.read(session))
      .toMatchObject({ status: "provisioning", blocked: { code: "no_capacity" } });
    await session.driveTo("paused", 1_200);
    await expect.poll(() => session.registry.ledger()).toMatchObject({ used: 0, imbalances: [] });
    expect(await session.registry.breaker()).toEqual({ type: "closed", failures: [] });
    world.mischief.limitInstances(null);
    await client.send("POST", `${path}/resume`, {});
    await session.driveTo("running");
  });
});
