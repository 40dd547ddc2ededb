import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  processesRunning,
  removeDirectories,
  startInstance,
  type Instance,
} from "../../support/wrapper-instance.ts";

let instance: Instance;

// One wrapper for the file: also a test that jobs do not disturb each other.
beforeAll(async () => {
  instance = await startInstance({ env: { FROM_BOOT: "boot" } });
  await instance.renew();
});
afterEach(async () => {
  expect(instance.processes().map(({ role }) => role)).toEqual(expect.not.arrayContaining(["job"]));
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

async function refusal(body: object): Promise<string> {
  const response = await instance.call("POST", "/jobs", { timeout_ms: 10_000, ...body });
  return `${response.status} ${(await response.json<{ code: string }>()).code}`;
}

describe("running", () => {
  it("a command line and an argument vector run in the workspace, and their end is told as it was", async () => {
    await instance.start({ id: "line", command: "printf '%s ' a b; pwd; exit 3" });
    expect(await instance.ended("line")).toMatchObject({
      state: "failed",
      exit_code: 3,
      signal: null,
      output_truncated: false,
    });
    expect((await instance.job("line")).tail).toBe(`a b ${instance.boot.workspace_dir}\n`);
    await instance.start({ id: "vector", argv: ["printf", "%s|", "$HOME", "*", ""] });
    expect(await instance.ended("vector")).toMatchObject({ state: "succeeded", exit_code: 0, tail: "$HOME|*||" });
    await instance.start({ id: "own-signal", command: "kill -KILL $$" });
    expect(await instance.ended("own-signal")).toMatchObject({ state: "failed", exit_code: null, signal: "SIGKILL" });
  });

  it("[BUG-31] a program that cannot be started fails as in a shell, and the job names the file and what is wrong with it", async () => {
    const { workspace_dir: workspace } = instance.boot;
    writeFileSync(join(workspace, "plain"), "text");
    writeFileSync(join(workspace, "no-interpreter"), "#!/no/such/interpreter\n", { mode: 0o755 });
    const tries = [
      ["/no/such/program", 127, "command_not_found", '"/no/such/program" was not found.'],
      ["no-such-program", 127, "command_not_found", '"no-such-program" was not found in PATH.'],
      ["./no-interpreter", 127, "command_not_found", '"./no-interpreter" is there, but the interpreter'],
      ["./plain", 126, "command_not_executable", '"./plain" cannot be run'],
    ] as const;
    for (const [index, [file, exitCode, code, message]] of tries.entries()) {
      const id = `unstartable-${index}`;
      await instance.start({ id, argv: [file] });
      const job = await instance.ended(id);
      expect(job, file).toMatchObject({ state: "failed", exit_code: exitCode, signal: null, failure: { code } });
      expect(job.failure?.message).toContain(message);
      expect(job.tail).toBe(`mooring: ${job.failure?.message}\n`);
    }
    await instance.start({ id: "startable", command: "false" });
    expect((await instance.ended("startable")).failure).toBeNull();
  });

  it("the environment is clean: the launcher's is not in it, boot and job add to it, markers cannot be overridden", async () => {
    await instance.start({ id: "env", command: "env", env: { FROM_JOB: "job", LANG: "xx" } });
    const lines = (await instance.ended("env")).tail.split("\n");
    expect(lines).toEqual(
      expect.arrayContaining(["FROM_BOOT=boot", "FROM_JOB=job", "LANG=xx", "MOORING_ROLE=job", "MOORING_JOB_ID=env"]),
    );
    expect(lines.filter((line) => /VITEST|NODE_|MOORING_PORT/.test(line))).toEqual([]);
  });

  it("stdout and stderr come as they were written, also when opened by name", async () => {
    const command =
      "for i in 1 2 3; do echo out$i; echo err$i >&2; done; echo named > /dev/stderr; echo last > /dev/stdout";
    await instance.start({ id: "order", command });
    expect((await instance.ended("order")).tail).toBe("out1\nerr1\nout2\nerr2\nout3\nerr3\nnamed\nlast\n");
  });

  it("a working directory must lie in the workspace, whatever links point out of it [SEC-5]", async () => {
    mkdirSync(join(instance.boot.workspace_dir, "in/side"), { recursive: true });
    symlinkSync("/etc", join(instance.boot.workspace_dir, "out"));
    symlinkSync("in/side", join(instance.boot.workspace_dir, "inward"));
    for (const cwd of ["..", "in/../..", "/etc", "out/.."]) {
      expect(await refusal({ id: "cwd", command: "true", cwd })).toBe("422 invalid");
    }
    await instance.start({ id: "cwd-out", command: "touch /tmp/never", cwd: "out" });
    expect(await instance.ended("cwd-out")).toMatchObject({
      state: "failed",
      exit_code: null,
      failure: { code: "cwd_outside_workspace", message: 'cwd "out" leads out of the workspace.' },
    });
    await instance.start({ id: "cwd", command: "pwd -P", cwd: "inward" });
    expect((await instance.ended("cwd")).tail).toBe(`${instance.boot.workspace_dir}/in/side\n`);
  });
});

describe("a working directory that is not there", () => {
  it("[BUG-31] ends the job as failed, and the reason names the directory", async () => {
    writeFileSync(join(instance.boot.workspace_dir, "a-file"), "text");
    for (const [cwd, code] of [
      ["repo", "cwd_not_found"],
      ["a-file", "cwd_not_a_directory"],
      ["a-file/below", "cwd_not_a_directory"],
    ] as const) {
      const id = `cwd-${cwd.replace("/", "-")}`;
      await instance.start({ id, command: "echo never", cwd });
      const job = await instance.ended(id);
      expect(job).toMatchObject({ state: "failed", exit_code: null, started_ago_ms: expect.any(Number) });
      expect(job.failure).toMatchObject({ code, message: expect.stringContaining(JSON.stringify(cwd)) });
      expect(job.tail).not.toContain("never\n");
    }
  });

  it("[BUG-32] a job that removes its own workspace leaves an empty one to the next, whatever it put in its place", async () => {
    const own = await startInstance();
    await own.renew();
    const { workspace_dir: workspace } = own.boot;
    const removals = [
      `rm -rf ${workspace}`,
      `rm -rf ${workspace}; echo x > ${workspace}`,
      `rm -rf ${workspace}; ln -s /no/such/place ${workspace}`,
    ];
    for (const [index, command] of removals.entries()) {
      await own.start({ id: `remove-${index}`, command: `touch here; cd /; ${command}` });
      expect(await own.ended(`remove-${index}`), command).toMatchObject({ state: "succeeded" });
      // As soon as the job has ended: a save that follows finds a directory.
      expect(readdirSync(workspace), command).toEqual([]);
      await own.start({ id: `next-${index}`, command: "pwd; ls -A | wc -l" });
      expect((await own.ended(`next-${index}`)).tail, command).toBe(`${workspace}\n0\n`);
    }
    // Removed from outside while nothing runs.
    rmSync(workspace, { recursive: true });
    await own.start({ id: "after-all", command: "echo still here" });
    expect((await own.ended("after-all")).tail).toBe("still here\n");
    await own.dispose();
  });
});

describe("one job id", () => {
  it("runs once, however often and however concurrently it is ordered; another body is refused [FEN-7]", async () => {
    const order = { id: "once", command: "echo run >> once.txt; cat once.txt", env: { A: "1", B: "2" } };
    const same = { env: { B: "2", A: "1" }, command: order.command, id: "once" };
    await Promise.all(Array.from({ length: 10 }, (_, index) => instance.start(index % 2 === 0 ? order : same)));
    expect((await instance.ended("once")).tail).toBe("run\n");
    expect((await instance.start(same)).state).toBe("succeeded");
    expect((await instance.job("once")).tail).toBe("run\n");
    expect(await refusal({ ...order, env: { A: "1" } })).toBe("409 job_mismatch");
    expect(await refusal({ ...order, timeout_ms: 1 })).toBe("409 job_mismatch");
  });
});

describe("stdin", () => {
  it("is given and closed, or stays open until told; a job that does not read is not fed without bound", async () => {
    await instance.start({ id: "text", command: "cat; echo; cat /dev/stdin", stdin: "hello" });
    expect((await instance.ended("text")).tail).toContain("hello\n");
    await instance.start({ id: "none", command: "cat" });
    expect(await instance.ended("none")).toMatchObject({ state: "succeeded", tail: "" });

    await instance.start({ id: "open", command: "cat", stdin: "first ", stdin_open: true });
    expect((await instance.call("POST", "/jobs/open/stdin", "second ")).status).toBe(200);
    await instance.printed("open", "first second ");
    expect((await instance.call("POST", "/jobs/open/stdin?end=1", "third")).status).toBe(200);
    expect(await instance.ended("open")).toMatchObject({ state: "succeeded", tail: "first second third" });
    expect((await instance.call("POST", "/jobs/open/stdin", "late")).status).toBe(409);

    await instance.start({ id: "deaf", command: "sleep 300", stdin_open: true });
    const statuses = [];
    for (let sent = 0; sent < 4; sent += 1)
      statuses.push((await instance.call("POST", "/jobs/deaf/stdin", "x".repeat(600_000))).status);
    expect(statuses.at(-1)).toBe(429);
    await instance.call("DELETE", "/jobs/deaf?as=cancelled");
  });
});

/** For what has to hear that it is to end before it is killed: on a busy machine that takes seconds. What ends is not waited for. */
const longGrace = { job_grace_ms: 40_000, stop_grace_ms: 60_000 };

describe("ending", () => {
  it("a job past its timeout is timed_out, and the wrapper lives on [API-11]", async () => {
    const own = await startInstance(longGrace);
    await own.renew();
    await own.start({ id: "slow", command: "echo begun; sleep 300", timeout_ms: 15_000 });
    expect(await own.ended("slow")).toMatchObject({
      state: "timed_out",
      exit_code: null,
      signal: "SIGTERM",
      tail: "begun\n",
    });
    expect((await own.call("GET", "/health")).status).toBe(200);
    await own.dispose();
  });

  it("a job that ignores SIGTERM is killed after its grace, and one that heeds it may clean up", async () => {
    await instance.start({ id: "deaf-to-term", command: "trap '' TERM; echo up; while :; do sleep 1; done" });
    await instance.printed("deaf-to-term", "up");
    const response = await instance.call("DELETE", "/jobs/deaf-to-term?as=interrupted");
    expect(await response.json()).toMatchObject({ state: "interrupted", signal: "SIGKILL" });

    const own = await startInstance(longGrace);
    await own.renew();
    await own.start({ id: "tidy", command: "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done" });
    await own.printed("tidy", "up");
    const [first, second] = await Promise.all([
      own.call("DELETE", "/jobs/tidy?as=cancelled"),
      own.call("DELETE", "/jobs/tidy?as=interrupted"),
    ]);
    const [a, b] = (await Promise.all([first.json(), second.json()])) as { state: string; exit_code: number }[];
    // The two race on the wire; the first to arrive names it for both.
    expect(a?.state).toBe(b?.state);
    expect(a?.exit_code).toBe(7);
    expect((await own.job("tidy")).tail).toContain("bye");
    expect((await own.call("DELETE", "/jobs/tidy?as=cancelled")).status).toBe(200);
    expect((await own.call("DELETE", "/jobs/tidy?as=lost")).status).toBe(422);
    await own.dispose();
  });

  const nap = (number: number): string => `sleep ${7_000_000 + process.pid}.${number}`;
  const leftovers: readonly (readonly [string, string])[] = [
    ["a background child", `${nap(1)} & echo up`],
    ["a child in a session of its own", `setsid ${nap(2)} & echo up`],
    ["an orphan of a double fork", `(setsid sh -c '${nap(3)} & ${nap(3)}' &) ; echo up`],
    ["a child that ignores hangup", `nohup ${nap(4)} >/dev/null 2>&1 & echo up`],
    ["a child that ignores TERM", `sh -c 'trap "" TERM; ${nap(5)} & wait; ${nap(5)}' & sleep 0.2; echo up`],
    ["a child without an environment", `env -i /bin/${nap(6)} & echo up`],
  ];

  it("nothing that a finished job leaves behind survives it: background, setsid, double fork, nohup, TERM ignored [PHY-6]", async () => {
    for (const [index, [name, command]] of leftovers.entries()) {
      await instance.start({ id: `left-${index}`, command });
      expect(await instance.ended(`left-${index}`), name).toMatchObject({
        state: "succeeded",
        exit_code: 0,
        tail: "up\n",
      });
      expect(processesRunning(nap(index + 1)), name).toEqual([]);
    }
  });

  it("[BUG-42] the record says how many processes were ended with a job that exited by itself, and their names", async () => {
    // The leader ends when each child has become its program: until then a child bears the shell's name.
    const became = (name: string) => `until grep -qx ${name} /proc/$!/comm; do sleep 0.01; done`;
    const children = [nap(11), nap(11), "tail -f /dev/null"].map(
      (line) => `${line} & ${became(line.split(" ")[0] ?? "")}`,
    );
    await instance.start({ id: "leaves", command: `${children.join("; ")}; echo up` });
    const left = await instance.ended("leaves");
    expect(left).toMatchObject({ state: "succeeded", left_running: { count: 3, kept: false } });
    expect(left.left_running?.names.toSorted()).toEqual(["sleep", "tail"]);
    expect(processesRunning(nap(11))).toEqual([]);
    await instance.start({ id: "tidy-end", command: "echo done | cat" });
    expect((await instance.ended("tidy-end")).left_running).toBeNull();
    await instance.start({ id: "cancelled-end", command: `echo up; ${nap(12)}` });
    await instance.printed("cancelled-end", "up");
    await instance.call("DELETE", "/jobs/cancelled-end?as=cancelled");
    // It was ended as a whole: nothing was left by it.
    expect((await instance.job("cancelled-end")).left_running).toBeNull();
  });

  it("nothing of an ended one survives either, while the leader lives [PHY-6]", async () => {
    for (const [index, [name, command]] of leftovers.entries()) {
      await instance.start({ id: `cut-${index}`, command: `${command}; ${nap(99)}` });
      await instance.printed(`cut-${index}`, "up");
      await until(`${name} runs`, () => processesRunning(nap(index + 1)).length > 0);
      const response = await instance.call("DELETE", `/jobs/cut-${index}?as=cancelled`);
      expect(await response.json(), name).toMatchObject({ state: "cancelled" });
      expect([...processesRunning(nap(index + 1)), ...processesRunning(nap(99))], name).toEqual([]);
    }
  });

  it("ending one job leaves the others alone, one whose id begins alike too [PHY-3]", async () => {
    await instance.start({ id: "twin", command: "sleep 300" });
    await instance.start({ id: "twin-2", command: "echo up; setsid sleep 300" });
    await instance.printed("twin-2", "up");
    await instance.call("DELETE", "/jobs/twin?as=cancelled");
    expect((await instance.job("twin-2")).state).toBe("running");
    await instance.call("DELETE", "/jobs/twin-2?as=cancelled");
  });
});

describe("bounds", () => {
  it("more jobs at once than a wrapper takes are refused, and their ids stay free", async () => {
    const order = (index: number) => ({ id: `many-${index}`, command: "sleep 300", timeout_ms: 600_000 });
    const statuses = await Promise.all(
      Array.from({ length: 70 }, async (_, index) => (await instance.call("POST", "/jobs", order(index))).status),
    );
    expect([201, 429].map((status) => statuses.filter((found) => found === status).length)).toEqual([64, 6]);
    const ended = Array.from({ length: 70 }, (_, index) => instance.call("DELETE", `/jobs/many-${index}?as=cancelled`));
    expect((await Promise.all(ended)).filter(({ status }) => status === 404)).toHaveLength(6);
    const refused = statuses.indexOf(429);
    await instance.start({ ...order(refused), command: "true" });
    expect((await instance.ended(`many-${refused}`)).state).toBe("succeeded");
  });
});

describe("what a renewal tells", () => {
  it("idle is zero while a job runs and counts from its end; every job is listed", async () => {
    await instance.start({ id: "busy", command: "sleep 300" });
    expect(await instance.renew()).toMatchObject({ active_jobs: 1, idle_ms: 0 });
    // Taken before the order, so the job ends after it however slow the machine is.
    const before = performance.now();
    await instance.call("DELETE", "/jobs/busy?as=cancelled");
    await until("some idle time", async () => (await instance.renew()).idle_ms >= 50);
    const reply = await instance.renew();
    expect(reply.idle_ms).toBeLessThanOrEqual(performance.now() - before);
    expect(reply.jobs.find(({ id }) => id === "busy")).toMatchObject({ state: "cancelled" });
    expect(reply.disk?.total_bytes).toBeGreaterThan(reply.disk?.free_bytes ?? Number.POSITIVE_INFINITY);
    const stale = await instance.call("POST", "/lease", { sequence: 1, sent_at: Date.now(), ttl_ms: 60_000 });
    expect(stale.status).toBe(409);
  });
});

describe("draining", () => {
  it("lets jobs go on that stand still for a snapshot, and the snapshot's late thaw does not end it [TRA-15]", async () => {
    const own = await startInstance();
    await own.renew();
    await own.start({ id: "works", command: "read line; echo $line", stdin_open: true });
    expect((await own.call("POST", "/freeze", { for_ms: 60_000, snapshot_id: "s1" })).status).toBe(200);
    expect(await (await own.call("POST", "/drain")).json()).toEqual({ active_jobs: 1 });
    await own.call("POST", "/jobs/works/stdin?end=1", "done\n");
    expect((await own.ended("works")).tail).toBe("done\n");
    await own.call("DELETE", "/freeze?snapshot=s1");
    expect((await own.call("POST", "/jobs", { id: "after", command: "true", timeout_ms: 1_000 })).status).toBe(409);
    expect((await own.call("POST", "/freeze", { for_ms: 60_000, snapshot_id: "s2" })).status).toBe(409);
    await own.dispose();
  });

  it("admits no new job, answers how many run, and still knows the old ones", async () => {
    const own = await startInstance();
    await own.renew();
    await own.start({ id: "before", command: "sleep 300" });
    expect(await (await own.call("POST", "/drain")).json()).toEqual({ active_jobs: 1 });
    expect((await own.call("POST", "/jobs", { id: "after", command: "true", timeout_ms: 1_000 })).status).toBe(409);
    expect((await own.start({ id: "before", command: "sleep 300" })).state).toBe("running");
    await own.dispose();
  });
});
