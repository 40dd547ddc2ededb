import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import {
  controllerToken,
  wrapperHeaders,
  wrapperHealth,
  wrapperProof,
  wrapperReady,
} from "../../../src/protocol/sandbox/wrapper.ts";
import { until } from "../../support/until.ts";
import {
  bootDocument,
  disposeInstances,
  processesOf,
  removeDirectories,
  spawnGuardian,
  startInstance,
} from "../../support/wrapper-instance.ts";
import { exitCodes } from "../../../wrapper/agent/exit-codes.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

describe("launching", () => {
  it("eight starts at once on one state directory start one wrapper; a ninth, after its end, starts none [PHY-9]", async () => {
    const boot = bootDocument();
    const starts = await Promise.all(Array.from({ length: 8 }, () => spawnGuardian(boot)));
    const refused: number[] = [];
    for (const start of starts) void start.exited.then(({ code }) => refused.push(code ?? -1));
    await until(
      "seven refusals and one ready",
      () => refused.length === 7 && starts.some((start) => start.stdout() !== ""),
    );
    expect(refused).toEqual(Array.from({ length: 7 }, () => exitCodes.alreadyStarted));
    expect(
      processesOf(boot.instance_id)
        .map(({ role }) => role)
        .toSorted(),
    ).toEqual(["guardian", "wrapper"]);

    const winner = starts.find((start) => start.stdout() !== "");
    expect(winner?.stdout()).toBe(readFileSync(join(boot.state_dir, "ready.json"), "utf8"));
    expect(wrapperReady.parse(JSON.parse(winner?.stdout() ?? "")).wrapper_pid).toBeGreaterThan(0);
    winner?.guardian.kill("SIGTERM");
    expect(await winner?.exited).toEqual({ code: exitCodes.ended, signal: null });

    const ninth = await spawnGuardian(boot);
    expect((await ninth.exited).code).toBe(exitCodes.alreadyStarted);
    expect(processesOf(boot.instance_id)).toEqual([]);
  });

  it("a launch that was killed before it was ready may be repeated [PHY-9]", async () => {
    const boot = bootDocument();
    const first = await spawnGuardian(boot);
    await until("the lock", () => existsSync(join(boot.state_dir, "lock.1")));
    first.guardian.kill("SIGKILL");
    await first.exited;
    // It may have become ready in that moment; then its one life is over.
    await until("nothing of the first", () => processesOf(boot.instance_id).length === 0);
    const wasReady = existsSync(join(boot.state_dir, "ready.json"));
    const second = await spawnGuardian(boot);
    if (wasReady) {
      expect((await second.exited).code).toBe(exitCodes.alreadyStarted);
    } else {
      await until("the second is ready", () => second.stdout() !== "");
      second.guardian.kill("SIGTERM");
      expect((await second.exited).code).toBe(exitCodes.ended);
    }
  });

  it("a launch that lands after launch_not_after starts nothing and touches nothing [PHY-10]", async () => {
    const boot = bootDocument({ launch_not_after: Date.now() - 1 });
    const late = await spawnGuardian(boot);
    expect((await late.exited).code).toBe(exitCodes.late);
    expect(processesOf(boot.instance_id)).toEqual([]);
    expect(existsSync(boot.state_dir)).toBe(false);
    expect(existsSync(boot.workspace_dir)).toBe(false);
  });

  it("a guardian without the markers, or with an unusable boot document, starts nothing and does not print the secret", async () => {
    const boot = bootDocument();
    const unmarked = await spawnGuardian(boot, { MOORING_INSTANCE_ID: `${boot.instance_id}x` });
    expect((await unmarked.exited).code).toBe(exitCodes.badBoot);
    const unknownField = { ...boot, surprise: boot.secret };
    const refused = await spawnGuardian(unknownField);
    expect((await refused.exited).code).toBe(exitCodes.badBoot);
    expect(processesOf(boot.instance_id)).toEqual([]);
    expect(unmarked.stderr() + refused.stderr() + refused.stdout()).not.toContain(boot.secret);
    for (const name of readdirSync(boot.state_dir)) {
      expect(readFileSync(join(boot.state_dir, name), "utf8")).not.toContain(boot.secret);
    }
  });

  it("every process carries its markers, and none shows the secret in its environment, arguments or files [SEC-2]", async () => {
    const instance = await startInstance();
    await instance.renew();
    await instance.start({ id: "j", command: "echo up; sleep 300" });
    await instance.printed("j", "up");
    const seen = instance.processes();
    expect(new Set(seen.map(({ role }) => role))).toEqual(new Set(["guardian", "wrapper", "job"]));
    const token = await controllerToken(instance.boot.secret);
    for (const { pid } of seen) {
      const shown = readFileSync(`/proc/${pid}/environ`, "utf8") + readFileSync(`/proc/${pid}/cmdline`, "utf8");
      expect(shown).toContain(`MOORING_SESSION_ID=${instance.boot.session_id}`);
      expect(shown).toContain(`MOORING_GENERATION=${instance.boot.generation}`);
      expect(shown).not.toContain(instance.boot.secret);
      expect(shown).not.toContain(token);
    }
    for (const name of ["ready.json", "lock.1", "wrapper.log"]) {
      expect(readFileSync(join(instance.boot.state_dir, name), "utf8")).not.toContain(instance.boot.secret);
    }
  });
});

describe("who may ask", () => {
  it("nothing but health and the lease is served before the first accepted renewal", async () => {
    const instance = await startInstance();
    const health = wrapperHealth.parse(await (await instance.call("GET", "/health")).json());
    expect(health).toMatchObject({
      instance_id: instance.boot.instance_id,
      generation: 7,
      active_jobs: 0,
      draining: false,
    });
    for (const [method, path] of [
      ["POST", "/jobs"],
      ["GET", "/jobs"],
      ["GET", "/jobs/x"],
      ["POST", "/drain"],
    ] as const) {
      const response = await instance.call(
        method,
        path,
        method === "POST" ? { id: "x", command: "true", timeout_ms: 1 } : undefined,
      );
      expect([response.status, (await response.json<{ code: string }>()).code]).toEqual([409, "not_renewed"]);
    }
    expect(await instance.renew()).toMatchObject({ generation: 7, active_jobs: 0, jobs: [] });
    expect((await instance.call("GET", "/jobs")).status).toBe(200);
  });

  it("another instance's token, none, and a token cut short are refused, and the refusal still proves who answers [SEC-2]", async () => {
    const instance = await startInstance();
    const foreign = await controllerToken(randomBytes(32).toString("hex"));
    for (const token of [
      foreign,
      "",
      (await controllerToken(instance.boot.secret)).slice(0, 63),
      instance.boot.secret,
    ]) {
      expect((await instance.call("GET", "/health", undefined, { token })).status).toBe(401);
    }
  });

  it("an answer that lacks the secret cannot carry the proof: two nonces, two proofs, and another secret's is wrong [PHY-17]", async () => {
    const instance = await startInstance();
    const proofs = new Set<string | null>();
    for (let round = 0; round < 2; round += 1) {
      const nonce = randomBytes(16).toString("hex");
      const response = await instance.call("GET", "/health", undefined, { nonce });
      const proof = response.headers.get(wrapperHeaders.proof);
      proofs.add(proof);
      expect(proof).not.toBe(await wrapperProof(await controllerToken(instance.boot.secret), nonce));
    }
    expect(proofs.size).toBe(2);
    expect((await instance.call("GET", "/health", undefined, { nonce: null })).status).toBe(422);
  });

  it("an old fencing token is refused, and nothing happens [FEN-3]", async () => {
    const instance = await startInstance();
    await instance.renew();
    const order = { id: "old", command: "true", timeout_ms: 1_000 };
    const response = await instance.call("POST", "/jobs", order, { generation: "6" });
    expect([response.status, (await response.json<{ code: string }>()).code]).toEqual([409, "wrong_generation"]);
    for (const generation of [null, "", "7x", "-7", "7.0", "99999999999999999999"]) {
      expect((await instance.call("POST", "/jobs", order, { generation })).status).toBe(422);
    }
    expect(await (await instance.call("GET", "/jobs")).json()).toEqual({ jobs: [] });
  });

  it("malformed input is answered with 4xx and hurts nobody", async () => {
    const instance = await startInstance();
    await instance.renew();
    const order = { id: "a", command: "true", timeout_ms: 1_000 };
    const bodies: readonly unknown[] = [
      "",
      "{",
      "[]",
      "null",
      { ...order, surprise: 1 },
      { ...order, argv: ["true"] },
      { id: "a", timeout_ms: 1 },
      { ...order, id: "../a" },
      { ...order, id: "ü" },
      { ...order, id: "x".repeat(65) },
      { ...order, timeout_ms: 0 },
      { ...order, timeout_ms: 1e300 },
      { ...order, command: "a\0b" },
      { ...order, command: "" },
      { ...order, env: { MOORING_ROLE: "wrapper" } },
      { ...order, env: { "A=B": "c" } },
      "x".repeat(8_000_000),
    ];
    for (const body of bodies) {
      // A body that is far too long may be cut off while it is being sent.
      const response = await instance.call("POST", "/jobs", body).catch(() => null);
      if (response !== null) expect(response.status).toBe(422);
    }
    for (const path of ["/jobs/%00", "/jobs/..%2f", "/nowhere", "/jobs/none", "//", "/jobs/none/output?offset=1"]) {
      expect((await instance.call("GET", path)).status).toBe(404);
    }
    for (const raw of [
      "\0\0\0\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      `GET / HTTP/1.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`,
      "CONNECT a:1 HTTP/1.1\r\n\r\n",
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(instance.port, "127.0.0.1", () => socket.end(raw));
        socket
          .on("error", () => {})
          .on("close", () => resolve())
          .resume();
      });
    }
    expect((await instance.call("POST", "/lease", { sequence: 0, sent_at: 1, ttl_ms: 1 })).status).toBe(422);
    expect((await instance.call("POST", "/lease", { sequence: 1, sent_at: Date.now(), ttl_ms: 60_000 })).status).toBe(
      409,
    );
    expect((await instance.call("GET", "/health")).status).toBe(200);
  });

  it("ends in an orderly way on SIGTERM to either process, whoever closed its output", async () => {
    for (const target of ["guardian", "wrapper"] as const) {
      const instance = await startInstance();
      await instance.renew();
      await instance.start({ id: "j", command: "sleep 300" });
      instance.spawned.guardian.stdout?.destroy();
      instance.spawned.guardian.stderr?.destroy();
      process.kill(target === "guardian" ? instance.guardianPid : instance.wrapperPid, "SIGTERM");
      expect(await instance.spawned.exited).toEqual({ code: exitCodes.ended, signal: null });
      expect(instance.processes()).toEqual([]);
    }
  });

  it("survives the death of what launched it", async () => {
    const boot = bootDocument();
    const launched = await spawnGuardian(boot);
    // Before it is ready: nobody will read the line any more, and ready.json says it all the same.
    launched.guardian.stdout?.destroy();
    launched.guardian.stderr?.destroy();
    await until("ready.json", () => existsSync(join(boot.state_dir, "ready.json")));
    const ready = wrapperReady.parse(JSON.parse(readFileSync(join(boot.state_dir, "ready.json"), "utf8")));
    writeFileSync(join(boot.workspace_dir, "mark"), "");
    expect(new Set(processesOf(boot.instance_id).map(({ pid }) => pid))).toEqual(
      new Set([launched.guardian.pid, ready.wrapper_pid]),
    );
    launched.guardian.kill("SIGTERM");
    expect((await launched.exited).code).toBe(exitCodes.ended);
  });
});
