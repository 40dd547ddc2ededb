/** What the local adapter makes of each answer, and of none: the network is the given fetch. */
import { describe, expect, it } from "vitest";
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import { controlPlaneHeader, hostErrorCodes } from "../../src/protocol/sandbox/host.ts";
import type { AgentSandbox, LaunchOrder, Target } from "../../src/sandbox/agent-sandbox.ts";
import { localSandbox } from "../../src/sandbox/local/local-sandbox.ts";
import { systemClock, systemIds, testControlPlane } from "../support/system-runtime.ts";
import { bound } from "./contract-session.ts";

const target: Target = {
  sessionId: "s".repeat(20) as SessionId,
  sandboxId: `${"s".repeat(20)}-g7` as SandboxId,
  generation: 7 as Generation,
  instanceId: "i" as InstanceId,
  host: "host-a",
};
const order: LaunchOrder = {
  ...target,
  instanceId: "i" as InstanceId,
  secret: "x".repeat(64),
  launchNotAfter: 1,
  leaseTtlMs: 1,
  jobGraceMs: 1,
  stopGraceMs: 1,
  env: {},
};

function over(network: (url: string, init: RequestInit) => Promise<Response>): AgentSandbox {
  const fetching: typeof fetch = (input, init) =>
    network(input instanceof Request ? input.url : String(input), init ?? {});
  return localSandbox({
    url: "http://127.0.0.1:1/",
    token: "token",
    fetch: fetching,
    clock: systemClock,
    ids: systemIds,
    controlPlane: testControlPlane,
  });
}

function answering(status: number, body: unknown, headers: Record<string, string> = {}): AgentSandbox {
  return over(async () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers }));
}

const effects: { readonly [Code in (typeof hostErrorCodes)[number]]: readonly [string, "none" | "unknown"] } = {
  unauthorized: ["invalid", "none"],
  scanning: ["unavailable", "none"],
  state_unusable: ["unavailable", "none"],
  refused_retired: ["refused_retired", "none"],
  refused_late: ["refused_late", "none"],
  foreign_control_plane: ["invalid", "none"],
  occupied: ["foreign_instance", "none"],
  not_found: ["not_found", "none"],
  damaged: ["damaged", "none"],
  not_empty: ["unavailable", "none"],
  launch_failed: ["unavailable", "none"],
  save_failed: ["unavailable", "none"],
  insufficient_space: ["insufficient_space", "none"],
  space_unmeasurable: ["space_unmeasurable", "none"],
  filesystem_unusable: ["filesystem_unusable", "none"],
  invalid: ["invalid", "none"],
  internal: ["unavailable", "unknown"],
};

describe("the local adapter tells the truth about effects", () => {
  for (const code of hostErrorCodes) {
    it(`${code}: ${effects[code].join(", effect ")}`, async () => {
      const failure = await answering(500, { code, message: "why" }).launch(order, bound());
      expect(failure).toMatchObject({ ok: false, failure: { code: effects[code][0], effect: effects[code][1] } });
    });
  }

  it("a launch or stop whose reply is cut may have had its effect", async () => {
    const cut = over(() => Promise.reject(new TypeError("fetch failed", { cause: new Error("other side closed") })));
    for (const result of [
      await cut.launch(order, bound()),
      await cut.stop(target, 1, bound()),
      await cut.retire(target, bound()),
      await cut.snapshots?.save(target, "s1", bound()),
      await cut.snapshots?.remove(target.sessionId, "s1", bound()),
    ]) {
      expect(result).toMatchObject({ ok: false, failure: { code: "unavailable", effect: "unknown" } });
    }
  });

  it("a launch whose reply ends in the middle may have had its effect", async () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.error(new Error("connection lost"));
      },
    });
    const result = await over(async () => new Response(body, { status: 200 })).launch(order, bound());
    expect(result).toMatchObject({ ok: false, failure: { effect: "unknown" } });
  });

  it("a refused connection certainly had none", async () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const refused = over(() => Promise.reject(new TypeError("fetch failed", { cause })));
    const result = await refused.launch(order, bound());
    expect(result).toMatchObject({ ok: false, failure: { code: "unavailable", effect: "none" } });
  });

  it("[SIM-10] a call past its bound is given up even when the fetch ignores its signal [PHY-8]", async () => {
    // The fetch never answers: that the call does is the proof.
    const result = await over(() => new Promise(() => {})).stop(target, 1, bound(50));
    expect(result).toMatchObject({ ok: false, failure: { code: "timed_out", effect: "unknown" } });
  });

  it("a call whose caller gave up before is not sent", async () => {
    let sent = 0;
    const counting = over(async () => {
      sent += 1;
      return Response.json(null);
    });
    const result = await counting.launch(order, { timeoutMs: 1_000, signal: AbortSignal.abort() });
    expect(result).toMatchObject({ ok: false, failure: { code: "timed_out", effect: "none" } });
    expect(sent).toBe(0);
  });

  it("a host that is still looking around says when to come back [PHY-16]", async () => {
    const scanning = answering(503, { code: "scanning", message: "wait" }, { "retry-after": "2" });
    expect(await scanning.retire(target, bound())).toMatchObject({
      failure: { code: "unavailable", retryAfterMs: 2_000 },
    });
  });

  it.each([
    ["no JSON", 200, "<html>"],
    ["another shape", 200, { answer: "absent" }],
    ["an empty body", 200, ""],
    ["a proxy's 502", 502, "Bad gateway"],
    ["a redirect", 302, ""],
    ["an unknown error code", 404, { code: "gone", message: "" }],
  ])("%s is no absence [PHY-1]", async (_, status, body) => {
    expect(await answering(status, body).observe(target, 1, bound())).toMatchObject({
      answer: "unknown",
      host: null,
      residue: [],
    });
    expect(await answering(status, body).stop(target, 1, bound())).toMatchObject({
      ok: false,
      failure: { effect: "unknown" },
    });
  });

  it("absent with processes shown is unknown [PHY-1]", async () => {
    const shown = {
      kind: "job",
      session_id: "s",
      sandbox_id: null,
      instance_id: null,
      generation: 7,
      pid: 5,
      start_time: 9,
    };
    const body = { host_id: "host-a", boot_id: "b", answer: "absent", residue: [shown], detail: "" };
    expect(await answering(200, body).observe(target, 1, bound())).toMatchObject({ answer: "unknown" });
  });

  it("another host's answer proves nothing, and both are named [PHY-16]", async () => {
    const who = { host_id: "host-b", boot_id: "b" };
    const seen = await answering(200, { ...who, answer: "absent", residue: [], detail: "" }).observe(
      target,
      1,
      bound(),
    );
    expect(seen).toMatchObject({ answer: "unknown", host: "host-b" });
    expect(seen.detail).toMatch(/host-b.*host-a/);
    const retired = await answering(200, { ...who, retired_through: 7 }).retire(target, bound());
    expect(retired).toMatchObject({ ok: false, failure: { effect: "unknown" } });
    const stopped = await answering(200, { ...who, ended: [], remaining: [] }).stop(target, 1, bound());
    expect(stopped).toMatchObject({ ok: false, failure: { effect: "unknown" } });
  });

  it("the token goes to the host only, never to a wrapper's address", async () => {
    const tokens: string[] = [];
    const sandbox = over(async (url, init) => {
      tokens.push(`${new URL(url).port} ${new Headers(init.headers).get("authorization") ?? ""}`);
      const instance = {
        host_id: "host-a",
        boot_id: "b",
        instance_id: "i",
        session_id: "s",
        sandbox_id: "s",
        generation: 7,
        guardian_pid: 2,
        wrapper_pid: 3,
        url: "http://127.0.0.1:2222",
      };
      return Response.json(instance);
    });
    await sandbox.wrapper({ ...target, instanceId: "i" as InstanceId, secret: "x".repeat(64) }).health(bound());
    expect(tokens).toHaveLength(2);
    expect(tokens[0]).toBe("1 Bearer token");
    expect(tokens[1]).toMatch(/^2222 Bearer [0-9a-f]{64}$/);
  });
});

it("[BUG-104] every call to a host names the control plane that makes it, and none is invented when it is not known", async () => {
  const named: (string | null)[] = [];
  let known: string | null = "cp_one";
  const sandbox = localSandbox({
    url: "http://127.0.0.1:1",
    token: "token",
    fetch: async (_input, init) => {
      named.push(new Headers(init?.headers).get(controlPlaneHeader));
      return new Response("{}", { status: 500 });
    },
    clock: systemClock,
    ids: systemIds,
    controlPlane: async () => known,
  });
  const { snapshots, space, containers } = sandbox;
  if (snapshots === undefined || space === undefined || containers === undefined)
    throw new Error("the local provider lost a capability");
  const container = { id: "c" as ContainerId, generation: target.generation, host: null };
  const all = async () => {
    await sandbox.launch(order, bound());
    await sandbox.retire(target, bound());
    await sandbox.observe(target, 1, bound());
    await sandbox.stop(target, 1, bound());
    await sandbox.destroy(target, bound());
    await sandbox.readLogs(target, 1, bound());
    await sandbox.readResources(target, bound());
    await snapshots.save(target, "s", bound());
    await snapshots.remove(target.sessionId, "s", bound());
    await space.inspectCapacity(target, bound());
    await space.reclaim(target, bound());
    await containers.retire(container, bound());
    await containers.observe(container, 1, bound());
    await containers.destroy(container, bound());
    await sandbox.enumerate?.(bound());
  };
  await all();
  expect(named).toEqual(Array.from({ length: 15 }, () => "cp_one"));
  known = null;
  await all();
  expect(named.slice(15)).toEqual(Array.from({ length: 15 }, () => null));
});
