/** The local host as a process: what it refuses, what it remembers, what it finds, and whom it never signals. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Residue } from "../../../wrapper/host/processes/residue.ts";
import { startTimeOf } from "../../../wrapper/proc/marked-processes.ts";
import { isAlive, pidsWith } from "../../support/processes.ts";
import { RunningHost, type HostOptions } from "../../support/running-host.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function running(options: HostOptions = {}): Promise<RunningHost> {
  const host = await RunningHost.start(options);
  closing.push(() => host.close());
  return host;
}

interface Launch {
  readonly session: string;
  readonly sandbox: string;
  readonly instance: string;
  readonly secret: string;
}

const generation = 7;
const nobody = 65_534;
/** Whether a process can be made here that its own user may not read. */
const canHide = spawnSync("python3", ["--version"]).status === 0;

async function launch(
  host: RunningHost,
  change: Record<string, unknown> = {},
): Promise<Launch & { status: number; body: unknown }> {
  const session = typeof change["session_id"] === "string" ? change["session_id"] : host.session();
  const sandbox = `${session}-g${generation}`;
  const secret = "5ec".repeat(20);
  const order = {
    session_id: session,
    sandbox_id: sandbox,
    generation,
    secret,
    // Longer than a test takes on a busy machine: nobody renews it.
    launch_not_after: Date.now() + 600_000,
    lease_ttl_ms: 600_000,
    job_grace_ms: 200,
    stop_grace_ms: 1_000,
    env: {},
    ...change,
  };
  const instance = `i-${session}`;
  const answer = await host.ask("PUT", `/instances/${instance}`, order);
  return { session, sandbox, instance, secret, ...answer };
}

const observe = (host: RunningHost, { session, sandbox }: Launch) =>
  host.ask("GET", `/sandboxes/${sandbox}/observe?session_id=${session}&generation=${generation}`);

const stop = (host: RunningHost, { session, sandbox }: Launch, graceMs = 1_000) =>
  host.ask("POST", `/sandboxes/${sandbox}/stop`, {
    session_id: session,
    generation,
    instance_id: null,
    grace_ms: graceMs,
  });

/** Starts something with marks as a job would have them, in a shell. */
function marked(session: string, script: string): Promise<string> {
  const child = spawn("sh", ["-c", script], {
    stdio: ["ignore", "pipe", "ignore"],
    env: {
      PATH: process.env["PATH"],
      MOORING_SESSION_ID: session,
      MOORING_INSTANCE_ID: `i-${session}`,
      MOORING_GENERATION: String(generation),
      MOORING_ROLE: "job",
    },
  });
  closing.push(async () => child.kill("SIGKILL"));
  return once(child.stdout, "data").then(([chunk]) => String(chunk));
}

describe("the local host", () => {
  it("does not start without a token", async () => {
    await expect(RunningHost.start({ token: "" })).rejects.toThrow("ended with 2");
  });

  it("does not share its state directory", async () => {
    const host = await running();
    await expect(RunningHost.start({ state: host.state })).rejects.toThrow("ended with 2");
    expect((await host.ask("GET", "/health")).status).toBe(200);
  });

  it("answers nobody without the token", async () => {
    const host = await running();
    for (const path of ["/health", "/sandboxes", "/nothing"]) {
      expect(await host.ask("GET", path, undefined, "wrong")).toMatchObject({
        status: 401,
        body: { code: "unauthorized" },
      });
    }
  });

  it("refuses an id that is none before it touches a path", async () => {
    const host = await running();
    for (const id of ["..%2f..", "A", "a.b", "a".repeat(64), "%00", "a%2fb", "-a"]) {
      expect((await host.ask("POST", `/sandboxes/${id}/retire`, { generation: 1 })).status, id).toBe(422);
      expect((await host.ask("DELETE", `/sandboxes/${id}`)).status, id).toBe(422);
    }
  });

  it("refuses bad input with what is wrong about it, and stays up", async () => {
    const host = await running();
    expect(await host.ask("PUT", "/instances/i", "{")).toMatchObject({
      status: 422,
      body: { message: "The body is not JSON." },
    });
    expect(await host.ask("PUT", "/instances/i", { session_id: 3 })).toMatchObject({
      status: 422,
      body: { code: "invalid" },
    });
    expect((await launch(host, { sandbox_id: "../x" })).status).toBe(422);
    expect((await launch(host, { extra: 1 })).status).toBe(422);
    expect((await host.ask("GET", "/sandboxes/a/observe?session_id=s&generation=x")).status).toBe(422);
    expect((await host.ask("GET", "/sandboxes/a/observe?generation=1")).status).toBe(422);
    expect((await host.ask("PATCH", "/sandboxes")).status).toBe(404);
  });

  it("takes no faults unless it was started for tests", async () => {
    const host = await running({ faults: false });
    const fault = { op: "any", mode: "error", count: 1 };
    expect((await host.ask("POST", "/faults", fault)).status).toBe(404);
    expect((await host.ask("GET", "/sandboxes")).status).toBe(200);
  });

  it("says 503 to everything that needs knowing until it has looked around [PHY-16]", async () => {
    const host = await running();
    const launched = await launch(host);
    await host.kill("SIGKILL");
    // It does not look before all of them were answered.
    await host.start(["--scan-delay-ms", "600000"]);
    for (const answer of [
      await observe(host, launched),
      await stop(host, launched),
      await launch(host),
      await host.ask("POST", `/sandboxes/${launched.sandbox}/retire`, { generation }),
      await host.ask("GET", "/sandboxes"),
      await host.ask("GET", `/instances/${launched.instance}`),
      await host.ask("DELETE", `/sandboxes/${launched.sandbox}`),
    ]) {
      expect(answer).toMatchObject({ status: 503, body: { code: "scanning" } });
    }
    await host.kill("SIGKILL");
    await host.start();
    expect(await observe(host, launched)).toMatchObject({ status: 200, body: { answer: "present" } });
  });

  it("ends without its sandboxes, and finds them again as the same host", async () => {
    const host = await running();
    const launched = await launch(host);
    const before = await host.instance(launched.instance);
    expect(await host.kill("SIGTERM")).toBe(0);
    expect(isAlive(before.wrapper_pid) && isAlive(before.guardian_pid)).toBe(true);
    await host.start();
    expect(await host.instance(launched.instance)).toEqual(before);
  });

  it("ends everything first when it was told to", async () => {
    const host = await running({ arguments: ["--end-all-on-exit"] });
    const all = await Promise.all([launch(host), launch(host), launch(host)]);
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await host.kill("SIGTERM")).toBe(0);
    expect(all.flatMap(({ session }) => pidsWith(`MOORING_SESSION_ID=${session}`))).toEqual([]);
  });

  it("killed in the middle of a launch, it neither loses nor doubles the instance [PHY-9]", async () => {
    const host = await running();
    const marker = (session: string): string => `MOORING_SESSION_ID=${session}`;
    const ready = (session: string): string =>
      join(host.state, "sandboxes", `${session}-g${generation}`, "instances", `i-${session}`, "ready.json");
    const moments: readonly ((session: string) => boolean)[] = [
      (session) => existsSync(join(host.state, "records", `${session}-g${generation}.json`)),
      (session) => pidsWith(marker(session)).length >= 1,
      (session) => pidsWith(marker(session)).length >= 2,
      (session) => existsSync(ready(session)) && readFileSync(ready(session)).length > 0,
    ];
    for (const moment of moments) {
      const session = host.session();
      const first = launch(host, { session_id: session }).catch(() => null);
      await expect.poll(() => moment(session), { interval: 1 }).toBe(true);
      await host.kill("SIGKILL");
      await first;
      await host.start();
      const repeated = await launch(host, { session_id: session });
      expect(repeated.status, JSON.stringify(repeated.body)).toBe(200);
      const pids = pidsWith(marker(session));
      expect(pids).toHaveLength(2);
      expect(new Set(pids.map(roleOf))).toEqual(new Set(["guardian", "wrapper"]));
    }
  });

  it("fails closed on a record that it cannot read", async () => {
    const host = await running();
    const launched = await launch(host);
    await host.kill("SIGKILL");
    writeFileSync(join(host.state, "records", `${launched.sandbox}.json`), "{");
    await host.start();
    expect((await observe(host, launched)).status).toBe(500);
    expect((await host.ask("POST", `/sandboxes/${launched.sandbox}/retire`, { generation })).status).toBe(500);
    expect((await host.ask("DELETE", `/sandboxes/${launched.sandbox}`)).status).toBe(500);
    const other = await launch(host);
    expect(other.status).toBe(200);
    expect((await stop(host, launched)).status).toBe(200);
  });

  it("remembers that a destroyed sandbox is retired, across a restart [PHY-15]", async () => {
    const host = await running();
    const launched = await launch(host);
    await host.ask("POST", `/sandboxes/${launched.sandbox}/retire`, { generation });
    await stop(host, launched);
    expect((await host.ask("DELETE", `/sandboxes/${launched.sandbox}`)).status).toBe(200);
    expect(existsSync(join(host.state, "sandboxes", launched.sandbox))).toBe(false);
    await host.kill("SIGKILL");
    await host.start();
    const late = await launch(host, { session_id: launched.session, sandbox_id: launched.sandbox });
    expect(late).toMatchObject({ status: 409, body: { code: "refused_retired" } });
  });

  it("refuses a launch when the sandboxes have used up its quota", async () => {
    const host = await running({ arguments: ["--quota-bytes", "65536"] });
    const first = await launch(host);
    expect(first.status).toBe(200);
    writeFileSync(join(host.state, "sandboxes", first.sandbox, "workspace", "big"), Buffer.alloc(131_072, 1));
    expect(await launch(host)).toMatchObject({ status: 507, body: { code: "insufficient_space" } });
  });

  it("leaves nothing when a wrapper does not come up, and may try again", async () => {
    const host = await running({ arguments: ["--wrapper", "/nonexistent/wrapper.js"] });
    const failedLaunch = await launch(host);
    expect(failedLaunch).toMatchObject({ status: 500, body: { code: "launch_failed" } });
    expect(await observe(host, failedLaunch)).toMatchObject({ body: { answer: "absent" } });
    await host.kill("SIGKILL");
    await host.start(["--wrapper", "dist/wrapper.js"]);
    await host.ready();
    expect((await launch(host, { session_id: failedLaunch.session })).status).toBe(200);
  });

  it("never lets the secret or its own token into an environment, an argument or a file", async () => {
    const host = await running();
    const launched = await launch(host);
    const pids = pidsWith(`MOORING_SESSION_ID=${launched.session}`);
    expect(pids).toHaveLength(2);
    for (const pid of pids) {
      const shown = readFileSync(`/proc/${pid}/environ`, "latin1") + readFileSync(`/proc/${pid}/cmdline`, "latin1");
      expect(shown).not.toContain(launched.secret);
      expect(shown).not.toContain(host.token);
    }
    const grep = spawn("grep", ["-rlE", `${launched.secret}|${host.token}`, host.state], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    let files = "";
    grep.stdout.on("data", (chunk) => (files += String(chunk)));
    await once(grep, "close");
    expect(files).toBe("");
  });

  it("finds and ends a child that threw its environment away and left for a session of its own, if it saw its parent", async () => {
    const host = await running();
    const session = host.session();
    const pid = Number(await marked(session, `env -i setsid sleep 300 & echo $!; sleep 300`));
    closing.push(async () => isAlive(pid) && process.kill(pid, "SIGKILL"));
    const aim = { session, sandbox: `${session}-g${generation}`, instance: "", secret: "" };
    await expect.poll(async () => pidsOf(await observe(host, aim))).toContain(pid);
    await stop(host, aim, 0);
    expect(isAlive(pid)).toBe(false);
    expect(await observe(host, aim)).toMatchObject({ body: { answer: "absent" } });
  });

  it("does not take a zombie for alive", async () => {
    const host = await running();
    const session = host.session();
    const marks = `MOORING_SESSION_ID=${session} MOORING_INSTANCE_ID=z MOORING_GENERATION=${generation}`;
    // The shell becomes a sleep, which never waits for its child.
    const script = `${marks} sleep 300 & echo $!; exec sleep 300`;
    const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] });
    closing.push(async () => parent.kill("SIGKILL"));
    const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(String(chunk));
    const aim = { session, sandbox: `${session}-g${generation}`, instance: "z", secret: "" };
    await expect.poll(async () => pidsOf(await observe(host, aim))).toEqual([pid]);
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, "latin1")).toBe("sleep\n");
    process.kill(pid, "SIGKILL");
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, "latin1")).toContain(") Z ");
    expect(await observe(host, aim)).toMatchObject({ body: { answer: "absent" } });
  });

  it("does not take the group of an unmarked leader for an instance's", async () => {
    const host = await running();
    const session = host.session();
    await marked(session, "echo here; exec sleep 300");
    const aim = { session, sandbox: `${session}-g${generation}`, instance: "", secret: "" };
    const seen = pidsOf(await observe(host, aim));
    expect(seen).toHaveLength(1);
    expect(seen).not.toContain(process.pid);
    await stop(host, aim, 0);
    expect(await observe(host, aim)).toMatchObject({ body: { answer: "absent" } });
  });

  it.skipIf(!canHide)("says nothing is absent while a process of its user hides what it is", async () => {
    const state = mkdtempSync(join(tmpdir(), "mooring-host-"));
    const root = process.getuid?.() === 0;
    if (root) chownSync(state, nobody, nobody);
    const host = await running({ state, ...(root ? { user: nobody } : {}) });
    const launched = await launch(host);
    expect(launched.status, JSON.stringify(launched.body)).toBe(200);
    const script = `python3 -c 'import ctypes,os,time;ctypes.CDLL(None).prctl(4,0,0,0,0);print(os.getpid(),flush=True);time.sleep(300)' &`;
    const shell = spawn("sh", ["-c", script], {
      stdio: ["ignore", "pipe", "ignore"],
      ...(root ? { uid: nobody, gid: nobody } : {}),
    });
    const [chunk] = (await once(shell.stdout, "data")) as [Buffer];
    const hidden = Number(String(chunk));
    closing.push(async () => isAlive(hidden) && process.kill(hidden, "SIGKILL"));
    // An orphan: nobody can say who started it.
    expect(await observe(host, launched)).toMatchObject({ status: 200, body: { answer: "present" } });
    expect(await stop(host, launched)).toMatchObject({ status: 500 });
    expect(pidsWith(`MOORING_SESSION_ID=${launched.session}`)).toEqual([]);
    expect(await observe(host, launched)).toMatchObject({ status: 500, body: { code: "internal" } });
    // It cannot be of what was launched after it, or never.
    const later = await launch(host);
    await stop(host, later);
    expect(await observe(host, later)).toMatchObject({ status: 200, body: { answer: "absent" } });
    process.kill(hidden, "SIGKILL");
    await expect.poll(async () => (await observe(host, launched)).body).toMatchObject({ answer: "absent" });
  });

  it("starts twenty at once, and ends them all", async () => {
    const host = await running();
    const all = await Promise.all(Array.from({ length: 20 }, () => launch(host)));
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    await Promise.all(all.map((one) => stop(host, one)));
    const { body } = await host.ask("GET", "/sandboxes");
    const sessions = new Set(all.map(({ session }) => session));
    expect(
      (body as { residue: { session_id: string }[] }).residue.filter((one) => sessions.has(one.session_id)),
    ).toEqual([]);
    expect(all.flatMap(({ session }) => pidsWith(`MOORING_SESSION_ID=${session}`))).toEqual([]);
  });
});

describe("a signal of the local host", () => {
  const owner = { session: "signal-test", instance: "i", generation };

  it("never strikes a pid that was given to another process [PHY-18]", async () => {
    const child = spawn("sleep", ["300"], {
      stdio: "ignore",
      env: {
        PATH: process.env["PATH"],
        MOORING_SESSION_ID: owner.session,
        MOORING_INSTANCE_ID: "i",
        MOORING_GENERATION: "7",
      },
    });
    closing.push(async () => child.kill("SIGKILL"));
    await once(child, "spawn");
    const pid = child.pid ?? 0;
    const startTime = startTimeOf(pid) ?? 0;
    const residue = new Residue(() => 0, null);
    const found = { pid, startTime, parent: process.pid, owner, kind: "job", by: "marks" } as const;
    expect(residue.signal({ ...found, startTime: startTime - 1 }, "SIGKILL")).toBe(false);
    expect(residue.signal({ ...found, owner: { ...owner, instance: "j" } }, "SIGKILL")).toBe(false);
    expect(residue.signal({ ...found, owner: { ...owner, generation: 8 } }, "SIGKILL")).toBe(false);
    expect(isAlive(pid)).toBe(true);
    expect(residue.signal(found, "SIGKILL")).toBe(true);
    await once(child, "exit");
    expect(residue.signal(found, "SIGKILL")).toBe(false);
  });
});

function pidsOf({ body }: { body: unknown }): readonly number[] {
  return (body as { residue: readonly { pid: number }[] }).residue.map(({ pid }) => pid);
}

function roleOf(pid: number): string | undefined {
  return /MOORING_ROLE=(\w+)/.exec(readFileSync(`/proc/${pid}/environ`, "latin1"))?.[1];
}
