import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { Generation, InstanceId, JobId, SandboxId, SessionId } from "../../../src/domain/state/ids.ts";
import { HttpWrapperClient } from "../../../src/sandbox/wrapper-client.ts";
import { until } from "../../support/until.ts";
import { disposeInstances, removeDirectories, startInstance, type Instance } from "../../support/wrapper-instance.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

/** The client as the local provider builds it, over real time and the real network. */
function clientOf({ boot, port }: Instance): HttpWrapperClient {
  const ref = {
    sessionId: boot.session_id as SessionId,
    sandboxId: `${boot.session_id}-g7` as SandboxId,
    instanceId: boot.instance_id as InstanceId,
    generation: boot.generation as Generation,
    host: null,
    secret: boot.secret,
  };
  const reach = {
    fetch: (path: string, init: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init),
    forget: () => {},
  };
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => pause(ms, undefined, { signal }).catch(() => {});
  return new HttpWrapperClient(ref, reach, {
    clock: { now: () => Date.now(), sleep },
    ids: {
      id: () => randomBytes(10).toString("hex"),
      secret: () => randomBytes(32).toString("hex"),
      random: Math.random,
    },
  });
}

const bound = () => ({ timeoutMs: 60_000, signal: new AbortController().signal });

/** Reads what it can of guardian and wrapper, kills the wrapper, takes its port, and proves with whatever key it has seen. */
const impostor = `
const fs = require("fs"), http = require("http"), crypto = require("crypto");
process.on("SIGTERM", () => {});
const [port, health] = [Number(process.argv[2]), process.argv[3]];
const read = (path) => { try { return fs.readFileSync(path, "latin1"); } catch { return ""; } };
const wrapper = process.ppid, guardian = Number(read("/proc/" + wrapper + "/stat").split(") ")[1].split(" ")[1]);
const loot = [wrapper, guardian].flatMap((pid) => [read("/proc/" + pid + "/environ"), read("/proc/" + pid + "/cmdline")]).join("\\0");
fs.writeFileSync("loot", loot);
process.kill(wrapper, "SIGKILL");
const server = http.createServer((request, response) => {
  const token = String(request.headers.authorization).replace("Bearer ", "");
  const proof = crypto.createHmac("sha256", token).update("mooring-wrapper\\n" + request.headers["mooring-nonce"]).digest("hex");
  response.writeHead(200, { "content-type": "application/json", "mooring-proof": proof }).end(health);
});
const bind = () => server.listen(port, "127.0.0.1", () => fs.writeFileSync("bound", ""));
server.on("error", () => setTimeout(bind, 5));
bind();
`;

describe("the real client", () => {
  it("a job that reads /proc, kills the wrapper, takes its port and answers health is not taken for the instance [PHY-17]", async () => {
    // A grace long enough for the impostor, which ignores TERM, to be asked before the guardian kills it. In the end the test kills it.
    const instance = await startInstance({ job_grace_ms: 120_000, stop_grace_ms: 150_000 });
    const client = clientOf(instance);
    expect((await client.renew({ sequence: 1, sent_at: Date.now(), ttl_ms: 600_000 }, bound())).ok).toBe(true);
    const health = await client.health(bound());
    if (!health.ok) throw new Error("not healthy");
    const { workspace_dir: workspace } = instance.boot;
    writeFileSync(join(workspace, "impostor.cjs"), impostor);
    const argv = [process.execPath, "impostor.cjs", String(instance.port), JSON.stringify(health.value)];
    await client.startJob({ id: "impostor", argv, timeout_ms: 600_000 }, bound());
    await until("the impostor listens", () => existsSync(join(workspace, "bound")));
    for (const answer of [
      await client.health(bound()),
      await client.renew({ sequence: 2, sent_at: Date.now(), ttl_ms: 600_000 }, bound()),
      await client.job("impostor" as JobId, 10, bound()),
    ]) {
      expect(answer).toMatchObject({ ok: false, failure: { code: "foreign_instance" } });
    }
    const loot = readFileSync(join(workspace, "loot"), "utf8");
    expect(loot).toContain(instance.boot.instance_id);
    expect(loot).not.toContain(instance.boot.secret);
    for (const { pid, role } of instance.processes()) if (role === "job") process.kill(pid, "SIGKILL");
    await instance.allGone();
  });

  it("understands every answer of the real wrapper", async () => {
    const instance = await startInstance();
    const client = clientOf(instance);
    const id = "talk" as JobId;
    expect(await client.drain(bound())).toMatchObject({ ok: false, failure: { code: "not_ready" } });
    await client.renew({ sequence: 1, sent_at: Date.now(), ttl_ms: 600_000 }, bound());
    expect(await client.job(id, 10, bound())).toMatchObject({ ok: false, failure: { code: "not_found" } });
    const order = { id, command: "read line; echo got $line; sleep 300", stdin_open: true, timeout_ms: 600_000 };
    expect(await client.startJob(order, bound())).toMatchObject({ ok: true, value: { state: "running" } });
    expect(await client.writeStdin(id, new TextEncoder().encode("this\n"), false, bound())).toEqual({
      ok: true,
      value: null,
    });
    await instance.printed("talk", "got this\n");
    const output = await client.output(id, 4, bound());
    expect(await client.drain(bound())).toEqual({ ok: true, value: { activeJobs: 1 } });
    expect(await client.endJob(id, "interrupted", bound())).toMatchObject({
      ok: true,
      value: { state: "interrupted" },
    });
    expect(output.ok && (await new Response(output.value.body).text())).toBe("this\n");
    expect(await client.writeStdin(id, new Uint8Array(1), true, bound())).toMatchObject({
      ok: false,
      failure: { code: "job_ended" },
    });
  });
});
