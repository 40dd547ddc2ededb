/** The gate against a sandbox side that takes, refuses, or is somebody else. */
import { describe, expect, it } from "vitest";
import type { Generation, InstanceId, SandboxId, SessionId, TenantId } from "../../../src/domain/state/ids.ts";
import {
  type Pass,
  type TrafficKeys,
  type TrafficRefusal,
  trafficHeaders,
  trafficRefusals,
} from "../../../src/protocol/sandbox/traffic.ts";
import type { AgentSandbox, TrafficRequest } from "../../../src/sandbox/agent-sandbox.ts";
import { TrafficGate } from "../../../src/traffic/traffic-gate.ts";
import { stillClock } from "../../support/http-client.ts";

const id = "a".repeat(20) as SessionId;
const caller = { tenant: "acme" as TenantId, requestId: "request", scopes: [] };
const keys: TrafficKeys = {
  key: (secret) => Promise.resolve(`key of ${secret}`),
  token: (key) => Promise.resolve(`token of ${key}`),
  proof: (key, nonce) => Promise.resolve(`${key} saw ${nonce}`),
};

/** What comes back for a request: the agent's own answer, a refusal, or the answer of somebody without the key. */
type Side = "agent" | "stranger" | TrafficRefusal;

function gateTo(side: () => Side) {
  const requests: TrafficRequest[] = [];
  const passes: Pass[] = [];
  const traffic: NonNullable<AgentSandbox["traffic"]> = {
    async send(pass, nonce, request) {
      requests.push(request);
      const who = side();
      if (who !== "agent" && who !== "stranger") {
        const headers = { [trafficHeaders.refused]: who };
        return { ok: true, value: new Response("refused", { status: trafficRefusals[who], headers }) };
      }
      const proof = who === "agent" ? await keys.proof(pass.key, nonce) : "guessed";
      const headers = { [trafficHeaders.proof]: proof, "mooring-more": "ours", "x-theirs": "kept" };
      return { ok: true, value: new Response("served", { headers }) };
    },
  };
  const session = { ended: false };
  /** Whether each that asked for a pass would have resumed a paused session. */
  const asked: boolean[] = [];
  const nothing = () => {};
  const gate = new TrafficGate({
    session: () => ({
      pass(_caller, _waitMs, resumes) {
        asked.push(resumes !== false);
        if (session.ended)
          return Promise.resolve({ ok: false, problem: { code: "session_ended", detail: "" } } as const);
        const generation = (passes.length + 1) as Generation;
        const pass: Pass = {
          ...{ provider: "memory", sessionId: id, sandboxId: "sandbox" as SandboxId, generation },
          ...{ instanceId: "instance" as InstanceId, host: null, key: `key ${generation}`, token: "token" },
          expiresAt: stillClock.now() + 10_000,
        };
        passes.push(pass);
        return Promise.resolve({ ok: true, value: pass });
      },
    }),
    provider: () => ({ traffic }) as unknown as AgentSandbox,
    keys,
    clock: stillClock,
    ids: { id: () => "id", secret: () => "0123456789abcdef".repeat(4), random: () => 0.5 },
    log: { info: nothing, warn: nothing, error: nothing },
  });
  const send = (body: string | null, headers: Record<string, string> = {}) =>
    gate.send(caller, id, {
      ...{ method: body === null ? "GET" : "PUT", path: "/traffic/files", headers: new Headers(headers) },
      body: body === null ? null : new Response(body).body,
    });
  const look = () =>
    gate.send(caller, id, { method: "GET", path: "ports", headers: new Headers(), body: null, quiet: true });
  return { send, look, asked, requests, passes, session };
}

const code = (reply: Awaited<ReturnType<TrafficGate["send"]>>) => (reply.ok ? "served" : reply.problem.code);

describe("the gate", () => {
  it("resumes a paused session for whoever uses it, and not for whoever looks on [CLK-15]", async () => {
    const [looks, uses] = [gateTo(() => "agent"), gateTo(() => "agent")];
    expect(code(await looks.look())).toBe("served");
    expect(code(await uses.send(null))).toBe("served");
    expect([looks.asked, uses.asked]).toEqual([[false], [true]]);
  });

  it("keeps a pass that works, and passes on no header of ours in either direction [TRA-5]", async () => {
    const { send, requests, passes } = gateTo(() => "agent");
    const reply = await send(null, { "mooring-quiet": "1", "mooring-pass": "forged", accept: "text/plain" });
    expect(code(reply)).toBe("served");
    expect([...(requests[0]?.headers ?? new Headers()).keys()]).toEqual(["accept"]);
    if (reply.ok) expect(reply.value.headers.get("x-theirs")).toBe("kept");
    if (reply.ok) expect([...reply.value.headers.keys()].filter((name) => name.startsWith("mooring-"))).toEqual([]);
    expect(code(await send(null))).toBe("served");
    expect(passes).toHaveLength(1);
  });

  it("takes no answer from a program that has not the instance's key [PHY-17]", async () => {
    const { send } = gateTo(() => "stranger");
    expect(code(await send(null))).toBe("sandbox_unreachable");
  });

  it("asks the session again when a kept pass is refused, and drops that pass [TRA-6]", async () => {
    let side: Side = "agent";
    const { send, requests, passes } = gateTo(() => side);
    await send(null);
    side = "retired";
    expect(code(await send(null))).toBe("session_not_running");
    // Once with the kept pass, once with the new one; neither is kept.
    expect([requests.length, passes.length]).toEqual([3, 2]);
    side = "agent";
    expect(code(await send(null))).toBe("served");
    expect([requests.length, passes.length]).toEqual([4, 3]);
  });

  it("goes to the sandbox no more once the session has ended [TRA-5]", async () => {
    let side: Side = "agent";
    const { send, requests, session } = gateTo(() => side);
    await send(null);
    side = "retired";
    session.ended = true;
    expect(code(await send(null))).toBe("session_ended");
    expect(code(await send(null))).toBe("session_ended");
    // The refused pass is dropped: only the first of the two still went there.
    expect(requests).toHaveLength(2);
  });

  it("serves a request without a body at once with the new pass [TRA-5]", async () => {
    const sides: Side[] = ["agent", "retired", "agent"];
    const { send, passes } = gateTo(() => sides.shift() ?? "agent");
    await send(null);
    expect(code(await send(null))).toBe("served");
    expect(passes).toHaveLength(2);
  });

  it("sends a short body again with the new pass, whole both times: a paused sandbox that was resumed is another one [TRA-5]", async () => {
    const sides: Side[] = ["agent", "retired", "agent"];
    const { send, requests, passes } = gateTo(() => sides.shift() ?? "agent");
    expect(code(await send("first", { "content-length": "5" }))).toBe("served");
    expect(code(await send("second", { "content-length": "6" }))).toBe("served");
    expect(passes).toHaveLength(2);
    const bodies = await Promise.all(requests.map(({ body }) => new Response(body).text()));
    expect(bodies).toEqual(["first", "second", "second"]);
  });

  it("never sends twice a body that can be read once: it asks for a new pass first [TRA-5]", async () => {
    for (const headers of [{}, { "content-length": "65537" }]) {
      const sides: Side[] = ["agent", "agent", "retired"];
      const { send, requests, passes } = gateTo(() => sides.shift() ?? "agent");
      await send(null);
      expect(code(await send("long", headers))).toBe("served");
      expect([requests.length, passes.length]).toEqual([2, 2]);
      expect(code(await send("long", headers))).toBe("session_not_running");
      expect([requests.length, passes.length]).toEqual([3, 3]);
    }
  });

  it.each(["nobody_listens", "too_many", "unreachable"] as const)(
    "does not ask the session about a refusal that says nothing of the pass: %s",
    async (refusal) => {
      const sides: Side[] = ["agent", refusal];
      const { send, passes } = gateTo(() => sides.shift() ?? "agent");
      await send(null);
      expect(code(await send(null))).not.toBe("served");
      expect(passes).toHaveLength(1);
    },
  );
});
