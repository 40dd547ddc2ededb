/**
 * Jobs that run as a user of their own, with real processes. Only root can start them: elsewhere everything but the refusals is
 * skipped, by name.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { bootstrapOrderOf, bootstrapReply, type WorkspaceOrder } from "../../../src/protocol/sandbox/workspace.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import { makeRepository } from "../../support/git-repository.ts";
import { isOrphan, pidsRunning } from "../../support/processes.ts";
import { until } from "../../support/until.ts";
import {
  bootDocument,
  disposeInstances,
  isRunning,
  removeDirectories,
  spawnGuardian,
  startInstance,
  temporaryDirectory,
  type Instance,
} from "../../support/wrapper-instance.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

const isRoot = process.getuid?.() === 0;
/** Of this run of the file alone. Tests of other files have users below 100 000 and from 200 000 on. */
let uid = 100_000 + (process.pid % 3_000) * 30;

/** Its user is nobody else's: whatever runs as it is ended with its instance. */
async function started(changes: Partial<WrapperBoot> = {}): Promise<Instance> {
  uid += 1;
  const instance = await startInstance({ job_user: { uid, gid: uid }, ...changes });
  await instance.renew();
  return instance;
}

let jobs = 0;
async function said(instance: Instance, command: string, order: { readonly stdin?: string } = {}): Promise<string> {
  jobs += 1;
  await instance.start({ id: `job-${jobs}`, command, ...order });
  return (await instance.ended(`job-${jobs}`)).tail;
}

/** Root with the capabilities that a container has by default: it may do anything to other users but read their environment. */
const blind = [
  "/usr/bin/setpriv",
  "--inh-caps=-all",
  "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+mknod,+net_bind_service",
];
/** Root that cannot become another user. */
const lonely = ["/usr/bin/setpriv", "--inh-caps=-all", "--bounding-set=-all,+chown,+dac_override,+fowner,+kill"];
const uniqueSleep = (): string => `sleep ${500_000 + Math.floor(Math.random() * 400_000)}`;
/** No mark, no group, no parent of ours. */
const hiding = (sleep: string): string => `(env -i setsid sh -c "${sleep} & exit" &)`;

describe.runIf(isRoot)("a job with a user of its own", () => {
  it("is that user, in no other group, and can never become another [SEC-2]", async () => {
    const instance = await started();
    const identity = "id -u; id -g; id -G; grep -E '^(NoNewPrivs|CapPrm|CapEff|CapInh)' /proc/self/status";
    expect(await said(instance, identity)).toBe(
      `${uid}\n${uid}\n${uid}\n${["Inh", "Prm", "Eff"].map((set) => `Cap${set}:\t${"0".repeat(16)}\n`).join("")}NoNewPrivs:\t1\n`,
    );
    // What the wrapper itself has open is not passed on: not its connections, not the pipe to its guardian.
    expect(await said(instance, "ls -l /proc/self/fd")).not.toMatch(/socket:|anon_inode|wrapper\.log|\.spool/);
  });

  it("a program with the setuid bit of root gives it nothing", async () => {
    const instance = await started();
    const tool = join(temporaryDirectory(), "id");
    execFileSync("cp", ["/usr/bin/id", tool]);
    chmodSync(tool, 0o4755);
    expect(await said(instance, `${tool} -u`)).toBe(`${uid}\n`);
  });

  it("has a home, a name and a place for temporary files that it may use", async () => {
    const home = join(temporaryDirectory(), "home");
    uid += 1;
    const own = await startInstance({ job_user: { uid, gid: uid, home_dir: home } });
    await own.renew();
    const tell = 'echo $HOME $USER $LOGNAME; cd; echo x > .rc && t=$(mktemp) && echo y > "$t" && rm "$t" && echo fine';
    expect(await said(own, tell)).toBe(`${home} job job\nfine\n`);
    expect(statSync(home)).toMatchObject({ uid, gid: uid });
    const without = await started();
    expect(await said(without, tell)).toBe(`${without.boot.workspace_dir} job job\nfine\n`);
  });

  it("reads nothing of the wrapper, of its guardian and of other jobs' output, and writes nothing there [SEC-2]", async () => {
    const instance = await started();
    const { state_dir: state, secret } = instance.boot;
    await said(instance, "echo of another job");
    const attempts = [
      ...[instance.wrapperPid, instance.guardianPid].flatMap((pid) => [
        ...["environ", "mem", "maps", "io"].map((name) => `head -c 1 /proc/${pid}/${name}`),
        ...["fd", "cwd/"].map((name) => `ls /proc/${pid}/${name}`),
      ]),
      `ls ${state}`,
      ...["wrapper.log", "ready.json", "lock.1", "jobs/1.spool"].map((name) => `cat ${state}/${name}`),
      `echo x > ${state}/ready.json`,
      `echo x >> ${state}/jobs/1.spool`,
      `mv ${state} ${state}.gone`,
      `touch ${state}/../planted`,
      `chmod 777 ${state}`,
    ];
    const script = attempts.map((attempt, index) => `(${attempt}) > /dev/null 2>&1 && echo DID ${index}`).join("\n");
    const text = await said(instance, `${script}\ntrue`);
    expect(text).toBe("");
    expect(text).not.toContain(secret);
    expect(statSync(state).mode & 0o777).toBe(0o700);
    expect(await said(instance, `cat /proc/${instance.wrapperPid}/cmdline`)).toContain("wrapper");
  });

  it("cannot signal the wrapper or the guardian, so cannot take its place either [PHY-17]", async () => {
    const instance = await started();
    const { wrapperPid, guardianPid, port } = instance;
    const tries = [wrapperPid, guardianPid].flatMap((pid) => [0, 9, 19].map((number) => `kill -${number} ${pid}`));
    const bind = `${process.execPath} -e 'require("http").createServer().listen(${port}, "127.0.0.1", () => console.log("DID bind"))'`;
    const all = [...tries.map((attempt) => `${attempt} 2>/dev/null && echo DID ${attempt}`), `${bind} 2>/dev/null`];
    expect(await said(instance, all.join("\n"))).toBe("");
    // All that it may signal: what runs as its user.
    const own = uniqueSleep();
    await instance.start({ id: "own", command: `exec ${own}` });
    await said(instance, "kill -9 -1");
    expect(await instance.ended("own")).toMatchObject({ state: "failed", signal: "SIGKILL" });
    expect((await instance.call("GET", "/health")).status).toBe(200);
    expect(isRunning(wrapperPid) && isRunning(guardianPid)).toBe(true);
  });

  it("opens its own /dev/stdin, /dev/stdout and /dev/stderr by name", async () => {
    const instance = await started();
    expect(
      await said(instance, "echo one > /dev/stdout; echo two > /dev/stderr; echo three | tee -a /dev/stdout"),
    ).toBe("one\ntwo\nthree\nthree\n");
    expect(await said(instance, "cat /dev/stdin", { stdin: "given\n" })).toBe("given\n");
    await instance.start({ id: "open", command: "exec 5< /dev/stdin; echo opened; cat <&5", stdin_open: true });
    await instance.printed("open", "opened\n");
    await instance.call("POST", "/jobs/open/stdin?end=1", "later\n");
    expect((await instance.ended("open")).tail).toBe("opened\nlater\n");
  });

  it("a command that is not there, or that it may not run, ends as a shell would have it end", async () => {
    const instance = await started();
    await instance.start({ id: "none", argv: ["no-such-command-here"], env: { PATH: "/usr/bin:/bin" } });
    expect(await instance.ended("none")).toMatchObject({
      exit_code: 127,
      tail: 'mooring: "no-such-command-here" was not found in PATH.\n',
    });
    const closed = join(temporaryDirectory(), "closed");
    writeFileSync(closed, "#!/bin/sh\necho ran\n", { mode: 0o700 });
    await instance.start({ id: "closed", argv: [closed] });
    const refused = await instance.ended("closed");
    expect(refused.exit_code).toBe(126);
    expect(refused.tail).toContain(closed);
  });

  it("clones and prepares as that user", async () => {
    const instance = await started();
    const repository = makeRepository(temporaryDirectory());
    execFileSync("chown", ["-R", `${uid}:${uid}`, repository.directory]);
    const order: WorkspaceOrder = {
      git: { url: `file://${repository.directory}` },
      setup: ["id -u > who; git status --short"],
    };
    const { steps } = await prepared(instance, order);
    expect(steps.map(({ state, last_output: text }) => [state, text])).toEqual([
      ["succeeded", expect.stringContaining("Cloning")],
      ["succeeded", "?? who\n"],
    ]);
    const { workspace_dir: workspace } = instance.boot;
    expect(readFileSync(join(workspace, "who"), "utf8")).toBe(`${uid}\n`);
    expect(statSync(join(workspace, ".git/config"))).toMatchObject({ uid, gid: uid });
  });
});

async function prepared(instance: Instance, order: WorkspaceOrder) {
  let seen = 0;
  for (;;) {
    const body = { order: bootstrapOrderOf(order, 60_000), seen, wait_ms: 5_000 };
    const reply = bootstrapReply.parse(await (await instance.call("POST", "/bootstrap", body)).json());
    const of = (order.git === undefined ? 0 : 1) + (order.setup ?? []).length;
    const failed = reply.steps.some(({ state }) => state === "failed" || state === "timed_out");
    if (failed || (reply.steps.length === of && reply.steps.every(({ state }) => state === "succeeded"))) return reply;
    seen = reply.version;
  }
}

describe.runIf(isRoot)("nothing of that user is left", () => {
  it("of a job: its group, and grandchildren in sessions of their own [PHY-6]", async () => {
    const instance = await started();
    const [inGroup, apart] = [uniqueSleep(), uniqueSleep()];
    await instance.start({ id: "tree", command: `${inGroup} & setsid sh -c "${apart} & wait" & echo up; wait` });
    await until("both run", () => [inGroup, apart].every((sleep) => pidsRunning(sleep).length === 1));
    await instance.call("DELETE", "/jobs/tree?as=cancelled");
    expect((await instance.ended("tree")).state).toBe("cancelled");
    expect([...pidsRunning(inGroup), ...pidsRunning(apart)]).toEqual([]);
  });

  it.each([
    ["the guardian is asked to stop", (instance: Instance) => process.kill(instance.guardianPid, "SIGTERM")],
    ["the wrapper is killed", (instance: Instance) => process.kill(instance.wrapperPid, "SIGKILL")],
    ["the guardian is killed", (instance: Instance) => process.kill(instance.guardianPid, "SIGKILL")],
  ])(
    "of an instance when %s: also what hides from its environment, its group and its parents [PHY-13] [PHY-14]",
    async (_, end) => {
      const instance = await started();
      const hidden = uniqueSleep();
      await instance.start({ id: "hides", command: `${hiding(hidden)}; echo up; sleep 300` });
      await until("it hides", () => isOrphan(hidden));
      // Its job ends, and nothing connects what it hid to us any more but its user.
      await instance.call("DELETE", "/jobs/hides?as=cancelled");
      await instance.ended("hides");
      expect(pidsRunning(hidden)).toHaveLength(1);
      end(instance);
      await instance.allGone();
      await until("nothing hides any more", () => pidsRunning(hidden).length === 0);
    },
  );

  it("and nobody else is ended with it", async () => {
    const [one, other] = [await started(), await started()];
    const stays = uniqueSleep();
    await other.start({ id: "stays", command: stays });
    process.kill(one.guardianPid, "SIGTERM");
    await one.allGone();
    expect(pidsRunning(stays)).not.toEqual([]);
    expect((await other.job("stays")).state).toBe("running");
  });
});

describe.runIf(isRoot)("what is in the workspace already", () => {
  const place = (): { readonly home: string; readonly workspace: string } => {
    const home = temporaryDirectory();
    const workspace = join(home, "workspace");
    mkdirSync(join(workspace, "deep/er"), { recursive: true });
    writeFileSync(join(workspace, "deep/er/file"), "before\n", { mode: 0o600 });
    return { home, workspace };
  };

  it("is given to the job's user, and no link is followed on the way", async () => {
    const { home, workspace } = place();
    const [outside, directory] = [join(home, "outside"), join(home, "elsewhere")];
    writeFileSync(outside, "root's\n", { mode: 0o600 });
    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(directory, "inside"), "root's\n", { mode: 0o600 });
    symlinkSync(outside, join(workspace, "link"));
    symlinkSync(directory, join(workspace, "deep/way"));
    // Only to files of the test: one that fails gives away what it finds.
    symlinkSync(outside, join(workspace, "deep/er/link"));
    linkSync(join(workspace, "deep/er/file"), join(workspace, "second"));
    const instance = await started({ workspace_dir: workspace });
    expect(await said(instance, "cat deep/er/file && echo after >> deep/er/file && mkdir deep/new && echo fine")).toBe(
      "before\nfine\n",
    );
    expect(lstatSync(join(workspace, "link"))).toMatchObject({ uid, gid: uid });
    for (const path of [outside, directory, join(directory, "inside")]) expect(statSync(path).uid).toBe(0);
    expect(await said(instance, "cat link deep/way/inside 2>/dev/null; echo $?")).toBe("1\n");
  });

  it("is not walked again when the top is the user's: whoever gave it gave all of it", async () => {
    const { workspace } = place();
    uid += 1;
    chownSync(workspace, uid, uid);
    await startInstance({ workspace_dir: workspace, job_user: { uid, gid: uid } });
    expect(statSync(join(workspace, "deep")).uid).toBe(0);
  });

  it.each([
    [
      "a file that has a name outside",
      (workspace: string, home: string) => {
        writeFileSync(join(home, "precious"), "root's\n");
        linkSync(join(home, "precious"), join(workspace, "deep/name"));
      },
      /a further name outside/,
    ],
    [
      "a device",
      (workspace: string) => void execFileSync("mknod", [join(workspace, "deep/null"), "c", "1", "3"]),
      /device/,
    ],
    [
      "more levels than a walk may hold open",
      (workspace: string) => void mkdirSync(join(workspace, "d/".repeat(300)), { recursive: true }),
      /nested deeper/,
    ],
  ])("with %s is not given away: nothing starts, and the reason is told", async (_, plant, reason) => {
    const { home, workspace } = place();
    plant(workspace, home);
    uid += 1;
    const spawned = await spawnGuardian(bootDocument({ workspace_dir: workspace, job_user: { uid, gid: uid } }));
    expect(await spawned.exited).toMatchObject({ code: 64 });
    expect(spawned.stderr()).toMatch(reason);
    if (existsSync(join(home, "precious"))) expect(statSync(join(home, "precious")).uid).toBe(0);
  });

  it("a workspace that is itself a link is refused", async () => {
    const { home, workspace } = place();
    symlinkSync(workspace, join(home, "link"));
    uid += 1;
    const spawned = await spawnGuardian(
      bootDocument({ workspace_dir: join(home, "link"), job_user: { uid, gid: uid } }),
    );
    expect(await spawned.exited).toMatchObject({ code: 64 });
    expect(statSync(workspace).uid).toBe(0);
  });
});

describe("a guardian that cannot keep that promise starts nothing and says why", () => {
  const refused = async (changes: Partial<WrapperBoot>): Promise<string> => {
    const spawned = await spawnGuardian(bootDocument(changes));
    expect(await spawned.exited).toMatchObject({ code: 64 });
    expect(spawned.stdout()).toBe("");
    return spawned.stderr();
  };

  it.each([
    ["root", { uid: 0, gid: 61_000 }],
    ["root's group", { uid: 61_000, gid: 0 }],
    ["no number", { uid: "61000", gid: 61_000 } as unknown as { uid: number; gid: number }],
    ["nobody", null as unknown as { uid: number; gid: number }],
    ["a home that is no absolute path", { uid: 61_000, gid: 61_000, home_dir: "home" }],
  ])("asked for %s", async (_, user) => {
    expect(await refused({ job_user: user })).toContain("job_user");
  });

  it.runIf(isRoot)("the user runs something already, which would be ended with the instance", async () => {
    uid += 1;
    const stranger = spawn("sleep", ["300"], { uid, gid: uid, env: {}, cwd: "/" });
    await until("the stranger runs", () => stranger.pid !== undefined && isRunning(stranger.pid));
    expect(await refused({ job_user: { uid, gid: uid } })).toContain(`user ${uid} runs something else already`);
    expect(isRunning(stranger.pid ?? 0)).toBe(true);
    stranger.kill("SIGKILL");
  });

  it.runIf(isRoot)("a directory above the workspace is closed to it", async () => {
    const closed = temporaryDirectory();
    chmodSync(closed, 0o700);
    uid += 1;
    const why = await refused({ workspace_dir: join(closed, "workspace"), job_user: { uid, gid: uid } });
    expect(why).toContain("closed to others");
  });

  it.runIf(isRoot)("its own state is inside of what belongs to the jobs", async () => {
    const home = temporaryDirectory();
    uid += 1;
    const why = await refused({ workspace_dir: home, state_dir: join(home, "state"), job_user: { uid, gid: uid } });
    expect(why).toContain("state_dir is inside");
    expect(statSync(home).uid).toBe(0);
  });

  it("it is not root", async () => {
    const boot = bootDocument({ job_user: { uid: 61_000, gid: 61_000 } });
    const as = isRoot ? 61_999 : undefined;
    if (as !== undefined) chownSync(dirname(boot.state_dir), as, as);
    const spawned = await spawnGuardian(boot, {}, as);
    expect(await spawned.exited).toMatchObject({ code: 64 });
    expect(spawned.stderr()).toContain("only root can start jobs as user 61000");
    expect(existsSync(boot.workspace_dir)).toBe(false);
  });

  it.runIf(isRoot)("its root cannot become another user", async () => {
    uid += 1;
    const boot = bootDocument({ job_user: { uid, gid: uid } });
    const spawned = await spawnGuardian(boot, {}, undefined, lonely);
    expect(await spawned.exited).toMatchObject({ code: 64 });
    expect(spawned.stderr()).toContain(`nothing can be started as user ${uid}`);
  });
});

it.runIf(isRoot)("[BUG-24] a root that may not read other users' environments starts jobs all the same", async () => {
  uid += 1;
  const instance = await startInstance({ job_user: { uid, gid: uid } }, blind);
  await instance.renew();
  expect(await said(instance, "id -u")).toBe(`${uid}\n`);
});

describe.runIf(isRoot)("a launch that wants it where it is possible", () => {
  it("gets it here", async () => {
    uid += 1;
    const instance = await startInstance({ job_user: { uid, gid: uid, if_possible: true } });
    await instance.renew();
    expect(await said(instance, "id -u")).toBe(`${instance.boot.job_user?.uid}\n`);
    expect(instance.log()).toContain(`"job_uid":${instance.boot.job_user?.uid}`);
  });

  it("runs its jobs as itself elsewhere, says so, and the workspace is theirs all the same", async () => {
    uid += 1;
    const user = { uid, gid: uid, if_possible: true };
    const workspace = join(temporaryDirectory(), "workspace");
    mkdirSync(join(workspace, "inside"), { recursive: true });
    for (const path of [join(workspace, "inside"), workspace]) chownSync(path, uid, uid);
    const instance = await startInstance({ job_user: user, workspace_dir: workspace }, lonely);
    await instance.renew();
    expect(await said(instance, "id -u; stat -c %u . inside")).toBe("0\n0\n0\n");
    expect(instance.log()).toContain("jobs have no user of their own");
    expect(instance.log()).toContain('"job_uid":null');
  });
});
