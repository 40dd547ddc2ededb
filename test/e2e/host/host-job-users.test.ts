/** A local host that gives each sandbox a user of its own, with real processes. Only root can: elsewhere the refusals are all there is. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Generation, SessionId } from "../../../src/domain/state/ids.ts";
import { isolatedSandboxId } from "../../../src/domain/state/ids.ts";
import { personIn } from "../../../wrapper/host/processes/job-users.ts";
import { LiveSession } from "../../support/live-session.ts";
import { isAlive, isOrphan, pidsRunning, pidsWith } from "../../support/processes.ts";
import { RunningHost } from "../../support/running-host.ts";
import { caller } from "../../support/session-rig.ts";
import { systemIds } from "../../support/system-runtime.ts";
import { until } from "../../support/until.ts";

const isRoot = process.getuid?.() === 0;
/** Of this test file and of no other run of it at the same time. */
let firstUid = 200_000 + (process.pid % 10_000) * 100;
let host: RunningHost | null = null;
const sessions: LiveSession[] = [];
const sleeps: string[] = [];
const strangers: number[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.close();
  for (const sleep of sleeps.splice(0)) for (const pid of pidsRunning(sleep)) process.kill(pid, "SIGKILL");
  for (const pid of strangers.splice(0)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await host?.close();
  host = null;
});

interface Users {
  readonly first: number;
  readonly last: number;
}

/** By marks, lineage and user alone: what the kernel's groups would find is not what is tested here. */
async function hostWith(count: number): Promise<Users & { readonly host: RunningHost }> {
  const first = firstUid;
  const last = first + count - 1;
  firstUid += count;
  host = await RunningHost.start({ arguments: ["--no-cgroups", "--job-uids", `${first}-${last}`] });
  return { host, first, last };
}

async function liveOn(running: RunningHost): Promise<LiveSession> {
  const live = new LiveSession(running);
  sessions.push(live);
  await live.create({ idle_timeout_seconds: null });
  await until("it runs", async () => (await live.view()).status === "running");
  return live;
}

async function output(live: LiveSession, command: string): Promise<string> {
  const id = systemIds.id();
  await live.run(id, command);
  await until(`${command} ends`, async () => (await live.job(id)).ended_at !== null);
  return (await live.job(id)).output_tail ?? "";
}

async function become(live: LiveSession, status: string): Promise<void> {
  await until(`it is ${status}`, async () => (await live.view()).status === status);
}

const sandboxOf = (session: SessionId, generation: number | null): string =>
  isolatedSandboxId(session, (generation ?? 0) as Generation);
const uniqueSleep = (): string => {
  const sleep = `sleep ${600_000 + Math.floor(Math.random() * 300_000)}`;
  sleeps.push(sleep);
  return sleep;
};

/** Those of these commands that succeeded. */
async function done(live: LiveSession, attempts: readonly string[]): Promise<string> {
  const lines = attempts.map((attempt, index) => `(${attempt}) > /dev/null 2>&1 && echo "DID ${index}"`);
  return output(live, [...lines, "true"].join("\n"));
}

describe.runIf(isRoot)("each sandbox has a user of its own", () => {
  it("whose jobs reach neither another session nor anything of the host [SEC-2]", async () => {
    const { host: running, first, last } = await hostWith(5);
    const [one, other] = [await liveOn(running), await liveOn(running)];
    const uids = [Number(await output(one, "id -u")), Number(await output(other, "id -u"))];
    expect(new Set(uids).size).toBe(2);
    for (const uid of uids) expect(uid >= first && uid <= last).toBe(true);
    const own = 'echo mine > kept; touch "$HOME/.rc" && [ "$HOME" != "$PWD" ] && cat kept';
    expect(await output(one, own)).toBe("mine\n");
    const stays = uniqueSleep();
    await one.run("stays", `exec ${stays}`);
    await until("it stays", () => pidsRunning(stays).length === 1);
    const { state, pid } = running;
    const sandbox = join(state, "sandboxes", sandboxOf(one.id, (await one.view()).generation));
    const ofHost = [
      ...["", "/sandboxes", "/records", "/snapshots", "/containers"].map((name) => `ls ${state}${name}`),
      `cat ${state}/host.json`,
      `touch ${state}/planted`,
      `cat /proc/${pid}/environ`,
      `kill -9 ${pid}`,
      `ls ${sandbox}`,
      `ls ${sandbox}/instances`,
      `touch ${sandbox}/planted`,
      `mv ${sandbox}/workspace ${sandbox}/elsewhere`,
    ];
    const ofOne = [
      `ls ${sandbox}/workspace`,
      `cat ${sandbox}/workspace/kept`,
      `touch ${sandbox}/workspace/planted`,
      `ls ${sandbox}/home`,
      `kill -9 ${pidsRunning(stays)[0]}`,
    ];
    expect(await done(one, ofHost)).toBe("");
    expect(await done(other, [...ofHost, ...ofOne])).toBe("");
    // The same, where they are one's own: so the paths above were right.
    expect(await done(one, ofOne)).toBe(ofOne.map((_, index) => `DID ${index}\n`).join(""));
  });

  it("files come back as the next generation's own, readable and writable [DEL-11]", async () => {
    const { host: running } = await hostWith(5);
    const live = await liveOn(running);
    const before = Number(await output(live, "id -u"));
    const made = [
      "mkdir -p a/closed && echo first > a/file && echo x > a/closed/secret && chmod 400 a/closed/secret && chmod 500 a/closed",
      "ln -s ../../host.json a/link && ln a/file a/second && printf '#!/bin/sh\\necho ran\\n' > run && chmod 755 run",
      "echo y > none && chmod 0 none && echo made",
    ];
    expect(await output(live, made.join(" && "))).toBe("made\n");
    await live.commands.pause(caller);
    await become(live, "paused");
    await live.commands.resume(caller, null, 0);
    await become(live, "running");
    expect(Number(await output(live, "id -u"))).not.toBe(before);
    const looks = [
      "cat a/file a/closed/secret && ./run && echo more >> a/second && cat a/file && readlink a/link",
      "stat -c %a a/closed a/closed/secret none && find . ! -user $(id -u) && chmod 600 none && cat none",
    ];
    expect(await output(live, looks.join(" && "))).toBe(
      "first\nx\nran\nfirst\nmore\n../../host.json\n500\n400\n0\ny\n",
    );
  });

  it("nothing of it is left after a stop, also of what hides, also after a restart of the host [PHY-14]", async () => {
    const { host: running } = await hostWith(5);
    const live = await liveOn(running);
    const hidden = uniqueSleep();
    const { generation } = await live.view();
    await live.run("hides", `(env -i setsid sh -c "${hidden} & exit" &) ; until [ -e hid ]; do sleep 0.05; done`);
    await until("it hides", () => isOrphan(hidden));
    await live.run("go", "touch hid");
    await until("its job has ended", async () => (await live.job("hides")).ended_at !== null);
    await running.kill("SIGKILL");
    await running.start();
    const [pid] = pidsRunning(hidden);
    const observed = async () => {
      const path = `/sandboxes/${sandboxOf(live.id, generation)}/observe?session_id=${live.id}&generation=${generation}`;
      return (await running.ask("GET", path)).body as {
        answer: string;
        containment: string;
        residue: { pid: number }[];
      };
    };
    const seen = await observed();
    expect(seen).toMatchObject({ answer: "present", containment: "user" });
    expect(seen.residue.map((one) => one.pid)).toContain(pid);
    await live.commands.delete(caller, "requested");
    await become(live, "terminated");
    expect(pidsRunning(hidden)).toEqual([]);
    expect(pidsWith(`MOORING_SESSION_ID=${live.id}`)).toEqual([]);
    expect((await live.view()).teardown?.evidence).toContain("whatever a job started was looked for by that user");
  });

  it("a user is given to one sandbox at a time, and comes free with its directory", async () => {
    const { host: running, first } = await hostWith(2);
    const stranger = spawn("sleep", ["300"], { uid: first, gid: first, env: {}, cwd: "/", stdio: "ignore" });
    await once(stranger, "spawn");
    strangers.push(stranger.pid ?? 0);
    const launch = async (): Promise<{ status: number; code: string; session: string; instance: string }> => {
      const [session, instance] = [running.session(), systemIds.id()];
      const order = {
        session_id: session,
        sandbox_id: sandboxOf(session as SessionId, 1),
        generation: 1,
        secret: systemIds.secret(),
        launch_not_after: Date.now() + 600_000,
        lease_ttl_ms: 600_000,
        job_grace_ms: 300,
        stop_grace_ms: 1_000,
        env: {},
      };
      const { status, body } = await running.ask("PUT", `/instances/${instance}`, order);
      return { status, code: (body as { code?: string }).code ?? "", session, instance };
    };
    // The first number is a stranger's, so the second is the only one.
    const one = await launch();
    expect(one.status).toBe(200);
    expect(await launch()).toMatchObject({ status: 500, code: "launch_failed" });
    const sandbox = sandboxOf(one.session as SessionId, 1);
    await running.ask("POST", `/sandboxes/${sandbox}/retire`, { generation: 1 });
    const stop = { session_id: one.session, generation: 1, instance_id: one.instance, grace_ms: 1_000 };
    expect(await running.ask("POST", `/sandboxes/${sandbox}/stop`, stop)).toMatchObject({ body: { remaining: [] } });
    expect((await running.ask("DELETE", `/sandboxes/${sandbox}`)).status).toBe(200);
    expect((await launch()).status).toBe(200);
    expect(isAlive(stranger.pid ?? 0)).toBe(true);
  });
});

describe("a host that cannot give them says so and does not start", () => {
  const main = new URL("../../../wrapper/host/main.ts", import.meta.url).pathname;
  const directories: string[] = [];
  afterEach(() => {
    for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  /** Its exit code and what it said. */
  function refusal(
    range: string,
    options: { readonly user?: number; readonly wrapper?: string; readonly above?: number } = {},
  ) {
    const above = mkdtempSync(join(tmpdir(), "mooring-refused-"));
    directories.push(above);
    const state = join(above, "state");
    mkdirSync(state);
    chmodSync(above, options.above ?? 0o711);
    if (options.user !== undefined) chownSync(state, options.user, options.user);
    const wrapper = options.wrapper === undefined ? [] : ["--wrapper", options.wrapper];
    const { status, stderr } = spawnSync(
      process.execPath,
      [main, "--port", "0", "--state", state, ...wrapper, "--job-uids", range],
      {
        ...(options.user === undefined ? {} : { uid: options.user, gid: options.user }),
        env: { ...process.env, LOCAL_HOST_TOKEN: systemIds.secret() },
        encoding: "utf8",
        timeout: 120_000,
      },
    );
    return `${status}: ${stderr.split("\n")[0]}`;
  }

  it("it is not root", () => {
    expect(refusal("70000-70009", isRoot ? { user: 61_998 } : {})).toMatch(
      /^2: --job-uids 70000-70009: only root can start/,
    );
  });

  it.each(["", "70000", "0-5", "5-4", "1-99999999999", "a-b", "70000-70001-70002"])("the range is %j", (range) => {
    expect(refusal(range)).toMatch(/^2: --job-uids must be FIRST-LAST/);
  });

  it.runIf(isRoot)("a person has one of the numbers", () => {
    const [name] =
      personIn({ first: 1_000, last: 60_000 }, "cloud:x:1000:1000::/home/cloud:/bin/bash")?.split(" ") ?? [];
    expect(name).toBe("cloud");
    expect(
      personIn({ first: 1, last: 60_000 }, "daemon:x:1:1::/:/usr/sbin/nologin\nsync:x:4:4::/:/bin/false\n"),
    ).toBeNull();
  });

  it.runIf(isRoot)("its wrapper is of a release that does not know of it", () => {
    const older = new URL("../../fixtures/wrapper-protocol-1.js", import.meta.url).pathname;
    expect(refusal(`${firstUid}-${firstUid}`, { wrapper: older })).toMatch(
      /^2: .*runs jobs as itself\. Build it again/,
    );
  });

  it.runIf(isRoot)("a directory above its state is closed to them", () => {
    expect(refusal(`${firstUid}-${firstUid}`, { above: 0o700 })).toMatch(/^2: .*closed to others/);
  });
});
