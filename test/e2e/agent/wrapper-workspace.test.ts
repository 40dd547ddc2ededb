/** Preparing a workspace in a real wrapper: real git, real shells, real process groups. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  bootstrapOrderOf,
  bootstrapReply,
  type BootstrapReply,
  type WorkspaceOrder,
} from "../../../src/protocol/sandbox/workspace.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import { makeRepository, serveRepository, type GitRepository } from "../../support/git-repository.ts";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  processesRunning,
  removeDirectories,
  startInstance,
  temporaryDirectory,
  type Instance,
} from "../../support/wrapper-instance.ts";

let repository: GitRepository;
beforeAll(() => {
  repository = makeRepository(temporaryDirectory());
});
afterEach(disposeInstances);
afterAll(removeDirectories);

const local = (): string => `file://${repository.directory}`;

async function ask(instance: Instance, order: WorkspaceOrder, seen: number, stepMs: number): Promise<BootstrapReply> {
  const body = { order: bootstrapOrderOf(order, stepMs), seen, wait_ms: 5_000 };
  const response = await instance.call("POST", "/bootstrap", body);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return bootstrapReply.parse(await response.json());
}

const isOver = ({ steps }: BootstrapReply, of: number): boolean =>
  steps.some(({ state }) => state === "failed" || state === "timed_out") ||
  (steps.length === of && steps.every(({ state }) => state === "succeeded"));

/** A part of the order: the same order with another limit is another one. */
const longStepMs = 600_000;

/** Until its last step has ended, or one has failed. */
async function prepared(instance: Instance, order: WorkspaceOrder, stepMs = longStepMs): Promise<BootstrapReply> {
  const of = (order.git === undefined ? 0 : 1) + (order.setup ?? []).length;
  let reply = await ask(instance, order, 0, stepMs);
  while (!isOver(reply, of)) reply = await ask(instance, order, reply.version, stepMs);
  return reply;
}

async function renewedInstance(changes: Partial<WrapperBoot> = {}): Promise<Instance> {
  const instance = await startInstance(changes);
  await instance.renew();
  return instance;
}

const inWorkspace = ({ boot }: Instance, name: string): string => readFileSync(join(boot.workspace_dir, name), "utf8");

describe("a clone", () => {
  it.each([
    ["what the repository begins with", {}, "second\n"],
    ["a branch", { ref: "feature/one" }, "second\n"],
    ["a tag, and one commit of its history", { ref: "v1", depth: 1 }, "first\n"],
  ])("brings %s", async (_, git, content) => {
    const instance = await renewedInstance();
    const { steps } = await prepared(instance, { git: { url: local(), ...git }, setup: ["cat README; pwd"] });
    expect(steps.map(({ name, state, exit_code }) => [name, state, exit_code])).toEqual([
      ["clone", "succeeded", 0],
      ["setup 1", "succeeded", 0],
    ]);
    expect(steps[1]?.last_output).toBe(`${content}${instance.boot.workspace_dir}\n`);
    expect(inWorkspace(instance, "README")).toBe(content);
  });

  it("brings one commit by its id, shallow", async () => {
    const instance = await renewedInstance();
    const { steps } = await prepared(instance, { git: { url: local(), ref: repository.first, depth: 1 } });
    expect(steps[0]).toMatchObject({ state: "succeeded" });
    expect(inWorkspace(instance, "README")).toBe("first\n");
  });

  it.each([
    [
      "a repository that is not there",
      { url: "file:///nowhere/at/all" },
      /does not appear to be a git repository|does not exist/,
    ],
    ["a host that does not answer", { url: "http://127.0.0.1:9/site.git" }, /unable to access|Failed to connect/],
    ["a ref that is not there", { ref: "no-such-branch" }, /no-such-branch not found/],
    ["a commit that is not there", { ref: "0".repeat(40) }, /0{40}/],
  ])("of %s fails with what git said, and no later step runs", async (_, git, words) => {
    const instance = await renewedInstance();
    const { steps } = await prepared(instance, { git: { url: local(), ...git }, setup: ["touch ran"] });
    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatchObject({ name: "clone", state: "failed", exit_code: 128 });
    expect(steps[0]?.last_output).toMatch(words);
    expect(existsSync(join(instance.boot.workspace_dir, "ran"))).toBe(false);
  });

  it("shows its credential to that host alone: not in .git, not to a later step, not in what is told [SEC-3]", async () => {
    const served = await serveRepository(repository, `Basic ${btoa("robot:hunter2hunter2")}`);
    const instance = await renewedInstance();
    const url = served.url.replace("://", "://robot:hunter2hunter2@");
    const { steps } = await prepared(instance, { git: { url }, setup: ["cat .git/config; env"] });
    served.close();
    expect(steps.map(({ state }) => state)).toEqual(["succeeded", "succeeded"]);
    expect(steps[1]?.last_output).toContain(served.url);
    expect(JSON.stringify(steps)).not.toContain("hunter2");
    expect(JSON.stringify(steps)).not.toContain(btoa("robot:hunter2hunter2"));
    expect(inWorkspace(instance, "README")).toBe("second\n");
  });

  it("asks for no password, and does not wait for one", async () => {
    const served = await serveRepository(repository, "Basic never");
    const instance = await renewedInstance();
    const { steps } = await prepared(instance, { git: { url: served.url } });
    served.close();
    expect(steps[0]).toMatchObject({ state: "failed", exit_code: 128 });
    expect(steps[0]?.last_output).toContain("terminal prompts disabled");
  });

  it("does not follow an address into another protocol, such as a command of git's own", async () => {
    const instance = await renewedInstance();
    const order = {
      ...bootstrapOrderOf({ git: { url: "https://x.invalid/" } }, longStepMs),
      git: { url: "ext::sh -c touch% /tmp/never" },
    };
    const body = { order, seen: 0, wait_ms: 0 };
    await instance.call("POST", "/bootstrap", body);
    let reply = bootstrapReply.parse(
      await (await instance.call("POST", "/bootstrap", { ...body, wait_ms: 5_000 })).json(),
    );
    while (!isOver(reply, 1))
      reply = bootstrapReply.parse(
        await (await instance.call("POST", "/bootstrap", { ...body, seen: reply.version, wait_ms: 5_000 })).json(),
      );
    expect(reply.steps[0]).toMatchObject({ state: "failed" });
    expect(reply.steps[0]?.last_output).toContain("transport 'ext' not allowed");
  });
});

describe("setup", () => {
  it("runs in order, with the session's environment and its own, and shows no value of either [SEC-3]", async () => {
    const instance = await renewedInstance({ env: { FROM_SESSION: "session-secret" } });
    const order = {
      setup: [
        'echo "$FROM_SESSION $TOKEN" > secrets.txt; cat secrets.txt',
        "cat secrets.txt >&2; exit 3",
        "touch never",
      ],
      env: { TOKEN: "workspace-secret" },
    };
    const { steps } = await prepared(instance, order);
    expect(steps.map(({ state, exit_code }) => [state, exit_code])).toEqual([
      ["succeeded", 0],
      ["failed", 3],
    ]);
    expect(steps.map(({ last_output }) => last_output)).toEqual(["[secret] [secret]\n", "[secret] [secret]\n"]);
    expect(inWorkspace(instance, "secrets.txt")).toBe("session-secret workspace-secret\n");
    expect(instance.log()).not.toContain("secret");
  });

  it("a secret at the cut of a long output does not show its rest [SEC-3]", async () => {
    const secret = "s".repeat(200);
    const instance = await renewedInstance({ env: { LONG: secret } });
    const { steps } = await prepared(instance, {
      setup: ['i=0; while [ $i -lt 400 ]; do echo "$LONG"; i=$((i+1)); done; exit 1'],
    });
    expect(steps[0]?.last_output).not.toContain("ssss");
    expect(steps[0]?.last_output).toContain("[secret]");
  });

  it("a step that hangs ends at its limit, with every process it started [PHY-6]", async () => {
    const instance = await renewedInstance();
    const hidden = `sleep 4321.${process.pid}`;
    const order = { setup: [`trap '' TERM; setsid ${hidden} & (setsid ${hidden} &) ; ${hidden}`] };
    const { steps } = await prepared(instance, order, 1_000);
    expect(steps[0]).toMatchObject({ state: "timed_out" });
    expect(processesRunning(hidden)).toEqual([]);
    expect((await instance.call("GET", "/health")).status).toBe(200);
  });

  it("a full disk is said to be one", async () => {
    const small = join(temporaryDirectory(), "small");
    mkdirSync(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", small]);
    try {
      const instance = await renewedInstance({ workspace_dir: join(small, "workspace") });
      const { steps } = await prepared(instance, { setup: ["head -c 3000000 /dev/zero > big"] });
      expect(steps[0]).toMatchObject({ state: "failed", disk_full: true });
      expect(steps[0]?.last_output).toContain("No space left on device");
      await instance.dispose();
    } finally {
      execFileSync("umount", ["-l", small]);
    }
  });
});

describe("the order", () => {
  it("is taken once, however often it comes; another is refused, and no job runs before it is done", async () => {
    const instance = await renewedInstance();
    const order = { setup: ["echo ran >> count; while [ ! -e go ]; do sleep 0.05; done"] };
    const replies = await Promise.all(Array.from({ length: 6 }, () => ask(instance, order, 0, longStepMs)));
    expect(replies.every(({ steps }) => steps.length <= 1)).toBe(true);
    await expect(ask(instance, { setup: ["echo other"] }, 0, longStepMs)).rejects.toThrow(/409.*job_mismatch/);
    const early = await instance.call("POST", "/jobs", { id: "early", command: "true", timeout_ms: 5_000 });
    expect([early.status, (await early.json<{ code: string }>()).code]).toEqual([409, "preparing"]);
    expect(await (await instance.call("GET", "/health")).json()).toMatchObject({ preparing: true, active_jobs: 0 });
    execFileSync("touch", [join(instance.boot.workspace_dir, "go")]);
    await prepared(instance, order);
    expect(inWorkspace(instance, "count")).toBe("ran\n");
    await instance.start({ id: "early", command: "echo now" });
    expect(await instance.ended("early")).toMatchObject({ state: "succeeded", tail: "now\n" });
  });

  it("is not taken before the first renewal", async () => {
    const instance = await startInstance();
    await expect(ask(instance, { setup: ["touch ran"] }, 0, longStepMs)).rejects.toThrow(/409.*not_renewed/);
    expect(existsSync(join(instance.boot.workspace_dir, "ran"))).toBe(false);
  });

  it("ends with its instance: a wrapper that is killed in the middle leaves no step behind [PHY-13]", async () => {
    const instance = await renewedInstance();
    const hidden = `sleep 4322.${process.pid}`;
    await ask(instance, { setup: [`setsid ${hidden} & ${hidden}`] }, 0, longStepMs);
    await until("the step runs", () => processesRunning(hidden).length >= 2);
    process.kill(instance.wrapperPid, "SIGKILL");
    await instance.allGone();
    await until("nothing of it is left", () => processesRunning(hidden).length === 0);
  });

  it("a step that is interrupted by the end of its instance is not told as its own failure", async () => {
    const instance = await renewedInstance({ job_grace_ms: 300 });
    const order = { setup: ["trap 'sleep 0.2; exit 1' TERM; while :; do sleep 0.05; done"] };
    const first = await ask(instance, order, 0, longStepMs);
    await until("the step runs", async () => (await ask(instance, order, 0, longStepMs)).steps.length === 1);
    process.kill(instance.guardianPid, "SIGTERM");
    const last = await ask(instance, order, first.version, longStepMs).catch(() => null);
    expect(last?.steps.every(({ state }) => state === "running") ?? true).toBe(true);
    await instance.allGone();
  });
});
