/** The object of one container over the container API, with a fake of the API: who may start it, what absence takes, what keeps it. */
import { describe, expect, it, vi } from "vitest";
import type { Generation, InstanceId, SandboxId, SessionId } from "../../../src/domain/state/ids.ts";
import type { LaunchOrder, NetworkRules } from "../../../src/sandbox/agent-sandbox.ts";
import { agentContainer } from "../../../src/sandbox/cloudflare/native/agent-container.ts";
import type { NetworkGateProps } from "../../../src/sandbox/cloudflare/network/network-gate.ts";
import type { ObjectAim } from "../../../src/sandbox/cloudflare/object-api.ts";
import { FakeContainer, type FakeOptions } from "../../support/cloudflare/fake-container.ts";
import { objectContext } from "../../support/cloudflare/object-context.ts";
import { instantSeals } from "../../support/instant-seals.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";

const ms = 10_000;
const sleepAfterMs = 600_000;
const quiet = { info: () => {}, warn: () => {}, error: () => {} };

class Rig {
  readonly container: FakeContainer;
  readonly rows = new Map<string, unknown>();
  readonly alarms: number[] = [];
  aborted = 0;
  ahead = 0;
  readonly #class = agentContainer<object>(() => ({
    sleepAfterMs,
    bucket: null,
    assets: { fetch: async () => new Response("the bundle") },
    terms: {
      templates: {
        base: { image: "an image", snapshot: null, instance: null },
        large: { image: "named", snapshot: null, instance: "standard-2" },
        prepared: { image: null, snapshot: "snapshot-1", instance: null },
      },
      orderWithinSeconds: 60,
      longestHoldMs: 6 * 3_600_000,
    },
    seals: instantSeals(),
    clock: { now: () => this.now(), sleep: (time, signal) => systemClock.sleep(time, signal) },
    ids: systemIds,
    logger: quiet,
  }));

  constructor(options: FakeOptions = {}) {
    this.container = new FakeContainer(options);
  }

  now(): number {
    return systemClock.now() + this.ahead;
  }

  /** As after an eviction, a deploy or a crash: only what is stored is left. */
  object() {
    const { container, rows, alarms } = this;
    const onAbort = (): void => void (this.aborted += 1);
    const ctx = objectContext({ name: "object", container, rows, alarms, onAbort });
    return new this.#class(ctx as never, {});
  }
}

function orderOf(now: number, over: Partial<LaunchOrder> = {}): LaunchOrder {
  return {
    sessionId: "session" as SessionId,
    sandboxId: "sandbox" as SandboxId,
    instanceId: "instance" as InstanceId,
    generation: 1 as Generation,
    secret: "s".repeat(64),
    launchNotAfter: now + 60_000,
    leaseTtlMs: 300_000,
    jobGraceMs: 3_000,
    stopGraceMs: 5_000,
    env: {},
    ...over,
  };
}

const aim: ObjectAim = {
  sessionId: "session" as SessionId,
  sandboxId: "sandbox" as SandboxId,
  generation: 1 as Generation,
  instanceId: "instance" as InstanceId,
};

describe("who may start a container", () => {
  it("of eight launches at once one starts it, and all learn that it runs [CON-1]", async () => {
    const rig = new Rig();
    const object = rig.object();
    const order = orderOf(rig.now());
    const came = await Promise.all(Array.from({ length: 8 }, () => object.launch(order, ms)));
    expect(came.every((one) => one.ok)).toBe(true);
    expect(rig.container.calls.start).toBe(1);
  });

  it("a launch that lands after its generation was retired starts nothing, also on an object built anew [CON-1]", async () => {
    const rig = new Rig();
    await rig.object().retire(aim, ms);
    expect(await rig.object().launch(orderOf(rig.now()), ms)).toMatchObject({
      failure: { code: "refused_retired", effect: "none" },
    });
    const late = orderOf(rig.now(), { sandboxId: "another" as SandboxId, launchNotAfter: rig.now() - 1 });
    expect(await rig.object().launch(late, ms)).toMatchObject({ failure: { code: "refused_late", effect: "none" } });
    expect(rig.container.calls.start).toBe(0);
  });

  it("an agent that is slow to listen has all of the call's time: it is not ended to be started again [CON-1]", async () => {
    let knocks = 0;
    const rig = new Rig({ isSlow: () => (knocks += 1) < 3 && (rig.ahead += 15_000) > 0 });
    expect(await rig.object().launch(orderOf(rig.now()), 60_000)).toMatchObject({ ok: true });
    expect(rig.container).toMatchObject({ running: true, calls: { start: 1, destroy: 0 } });
  });

  it("a stop of another instance ends nothing [CON-1]", async () => {
    const rig = new Rig();
    const object = rig.object();
    await object.launch(orderOf(rig.now()), ms);
    await object.stopInstance({ ...aim, instanceId: "another" as InstanceId }, 0, ms);
    expect(rig.container).toMatchObject({ running: true, calls: { destroy: 0 } });
  });

  it("[SIM-10] a start that came to nothing is told at once, without effect, and nothing starts it again by itself [CON-7]", async () => {
    const rig = new Rig({ failsToStart: true });
    // A bound that this test would not live to see.
    const came = await rig.object().launch(orderOf(rig.now()), 3_600_000);
    expect(came).toMatchObject({ ok: false, failure: { code: "start_failed", effect: "none" } });
    expect(came.ok ? "" : came.failure.message).toContain("failed to start");
    expect(rig.container.calls.start).toBe(1);
  });
});

describe("what absence takes", () => {
  it("absent only when it does not run, the platform shows none, and no port answers [CON-2]", async () => {
    const rig = new Rig();
    const object = rig.object();
    expect(await object.look(aim, ms)).toMatchObject({ answer: "absent" });
    await object.launch(orderOf(rig.now()), ms);
    expect(await object.look(aim, ms)).toMatchObject({ answer: "present", residue: [{ instanceId: "instance" }] });
    rig.container.frozen = true;
    expect(await object.look(aim, ms)).toMatchObject({ answer: "unknown" });
    rig.container.frozen = false;
    await rig.container.destroy();
    expect(await object.look(aim, ms)).toMatchObject({ answer: "absent" });
  });

  it("a container that the platform does not show for a moment, after its object was built anew, is present [CON-2]", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now()), ms);
    rig.container.unseen = 2;
    expect(await rig.object().look(aim, ms)).toMatchObject({
      answer: "present",
      residue: [{ instanceId: "instance" }],
    });
  });

  it("a container that the engine started again is present although it says that it does not run [CON-2, CON-3]", async () => {
    const rig = new Rig({ local: true });
    const object = rig.object();
    await object.launch(orderOf(rig.now()), ms);
    rig.container.crash();
    expect(rig.container.running).toBe(false);
    expect(await object.look(aim, ms)).toMatchObject({ answer: "present", residue: [{ instanceId: "instance" }] });
  });

  it("a stop of such a container has the object built anew, which then sees it and ends it [CON-3]", async () => {
    const rig = new Rig({ local: true });
    const object = rig.object();
    await object.launch(orderOf(rig.now()), ms);
    rig.container.crash();
    await object.stopInstance(aim, 0, ms);
    expect(rig.aborted).toBe(1);
    rig.container.seenAgain();
    await rig.object().stopInstance(aim, 0, ms);
    expect(await rig.object().look(aim, ms)).toMatchObject({ answer: "absent" });
    // Nothing to see any more: nothing is built anew for its sake.
    await rig.object().stopInstance(aim, 0, ms);
    expect(rig.aborted).toBe(1);
  });

  it("the same crash is an absence where the platform starts nothing again [CON-3]", async () => {
    const rig = new Rig();
    const object = rig.object();
    await object.launch(orderOf(rig.now()), ms);
    rig.container.crash();
    expect(await object.look(aim, ms)).toMatchObject({ answer: "absent" });
  });
});

describe("what keeps a container", () => {
  it("looks and evictions neither end nor prolong it: the hold is what is left of the stored instant [CON-4]", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now()), ms);
    rig.ahead = sleepAfterMs / 2;
    for (let round = 0; round < 3; round += 1) await rig.object().look(aim, ms);
    const holds = rig.container.holds.slice(-3);
    for (const hold of holds) {
      expect(hold).toBeLessThanOrEqual(sleepAfterMs / 2);
      expect(hold).toBeGreaterThan(sleepAfterMs / 2 - 60_000);
    }
    expect(rig.container.running).toBe(true);
  });

  it("one that nobody renewed is ended by the object's own alarm, whatever the platform does [CON-4]", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now()), ms);
    await rig.object().alarm();
    expect(rig.container.running).toBe(true);
    rig.ahead = sleepAfterMs + 1_000;
    await rig.object().alarm();
    expect(rig.container).toMatchObject({ running: false, calls: { destroy: 1 } });
  });

  it("a launch that takes longer than the hold keeps its container, and the first renewal has a whole hold [CON-4]", async () => {
    let knocks = 0;
    const alarm = vi.fn<() => Promise<void>>();
    const rig = new Rig({
      isSlow: () => {
        knocks += 1;
        if (knocks === 1) rig.ahead += sleepAfterMs + 1_000;
        if (knocks === 1) void alarm();
        return knocks < 4;
      },
    });
    const object = rig.object();
    alarm.mockImplementation(() => object.alarm());
    const order = orderOf(rig.now(), { launchNotAfter: rig.now() + 2 * sleepAfterMs });
    expect(await object.launch(order, 2 * sleepAfterMs)).toMatchObject({ ok: true });
    await alarm.mock.results[0]?.value;
    await object.alarm();
    expect(rig.container).toMatchObject({ running: true, calls: { start: 1, destroy: 0 } });
    expect(rig.container.holds.at(-1)).toBeGreaterThan(sleepAfterMs - 60_000);
    rig.ahead += sleepAfterMs + 1_000;
    await object.alarm();
    expect(rig.container).toMatchObject({ running: false, calls: { destroy: 1 } });
  });

  it("at rest nothing is pending and the one alarm is the stored instant [CON-5]", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now()), ms);
    expect(rig.container.calls).toMatchObject({ monitor: 0, exec: 0 });
    const next = rig.alarms.at(-1) ?? 0;
    expect(next - rig.now()).toBeGreaterThan(sleepAfterMs - 60_000);
    expect(new Set(rig.alarms).size).toBeLessThanOrEqual(2);
  });

  it("an alarm that fails is armed again before it ends [CON-4]", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now()), ms);
    const object = rig.object();
    rig.rows.set("mooring:object", { boot: 7 });
    const before = rig.alarms.length;
    await expect(object.alarm()).resolves.toBeUndefined();
    expect(rig.alarms.length).toBeGreaterThan(before);
  });
});

describe("what a container starts from [CON-9]", () => {
  it.each([
    [undefined, { image: "an image" }],
    ["base", { image: "an image" }],
    ["large", { image: "registry/named@sha256:1", instance: "standard-2" }],
    ["prepared", { containerSnapshot: { id: "snapshot-1" } }],
  ] as const)("template %s", async (template, started) => {
    const rig = new Rig();
    const order = orderOf(rig.now(), template === undefined ? {} : { template });
    expect(await rig.object().launch(order, ms)).toMatchObject({ ok: true });
    expect(rig.container.started).toMatchObject(started);
  });

  it("one that is not in the list starts nothing", async () => {
    const rig = new Rig();
    expect(await rig.object().launch(orderOf(rig.now(), { template: "unknown" }), ms)).toMatchObject({ ok: false });
    expect(rig.container.calls.start).toBe(0);
  });
});

describe("what a container may reach [CON-10]", () => {
  const rules: NetworkRules = {
    mode: "allow",
    allow: ["example.com"],
    inject: [{ host: "api.example.com", header: "authorization", secret: "Bearer the-credential" }],
  };
  const gateOf = (rig: Rig) => rig.container.gates.at(-1)?.fetcher as { props: NetworkGateProps } | undefined;

  it("rules are registered before the start, which opens no Internet; again by an object built anew", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now(), { network: rules }), ms);
    expect(rig.container.started).toMatchObject({ enableInternet: false });
    expect(rig.container.gates.map(({ kind, host }) => `${kind} ${host}`)).toEqual(["http *", "https *"]);
    expect(gateOf(rig)?.props).toEqual({ objectId: "object", rules });
    rig.container.gates.length = 0;
    rig.object();
    await vi.waitFor(() => expect(rig.container.gates).toHaveLength(2));
    expect(gateOf(rig)?.props.rules).toEqual(rules);
  });

  it("without rules it is open, and nothing is registered", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now()), ms);
    expect(rig.container.started).toMatchObject({ enableInternet: true });
    expect(rig.container.gates).toEqual([]);
  });

  it("the credential is sealed in what is stored, and not in the environment of the container", async () => {
    const rig = new Rig();
    await rig.object().launch(orderOf(rig.now(), { network: rules }), ms);
    const stored = JSON.stringify([...rig.rows.values()]) + JSON.stringify(rig.container.started);
    expect(stored).not.toContain("the-credential");
  });

  it("a change holds at once; of one that was started open only for HTTP and HTTPS", async () => {
    const closed = new Rig();
    const object = closed.object();
    await object.launch(orderOf(closed.now(), { network: rules }), ms);
    const order: NetworkRules = { mode: "closed", allow: [], inject: [] };
    expect(await object.changeNetwork(aim, order)).toEqual({ ok: true, value: { enforced: "all" } });
    expect(gateOf(closed)?.props.rules).toEqual(order);
    const open = new Rig();
    const other = open.object();
    await other.launch(orderOf(open.now()), ms);
    expect(await other.changeNetwork(aim, order)).toEqual({ ok: true, value: { enforced: "web" } });
  });

  it("refusals are counted by host, told once, and those of too many hosts together", async () => {
    const object = new Rig().object();
    for (const host of ["a.example", "a.example", "b.example"]) await object.noteDenied(host);
    expect(await object.denied()).toEqual({
      ok: true,
      value: [
        { host: "a.example", count: 2 },
        { host: "b.example", count: 1 },
      ],
    });
    expect(await object.denied()).toEqual({ ok: true, value: [] });
    for (let number = 0; number < 40; number += 1) await object.noteDenied(`${number}.example`);
    const told = await object.denied();
    expect(told.ok && told.value.length).toBe(21);
    expect(told.ok && told.value.at(-1)).toEqual({ host: "(others)", count: 20 });
  });
});
