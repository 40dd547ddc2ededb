/** Mooring as a provider of ComputeSDK, on real processes: what its programs, and its public benchmark, ask of a provider. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { computeProvider, type ComputeProvider, type ComputeSandbox, Mooring } from "../../../src/client/mooring.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";

let world: TemporaryStack;
let mooring: Mooring;
let compute: ComputeProvider;
let sandbox: ComputeSandbox;
beforeAll(async () => {
  world = await temporaryStack();
  mooring = new Mooring({ url: world.stack.url, key: await world.stack.apiKey("e2e"), timeoutMs: 60_000 });
  compute = computeProvider(mooring, { idle_timeout_seconds: null, labels: { by: "test" } });
  sandbox = await compute.sandbox.create({
    ...{ timeout: 600_500, envs: { SHOWN: "yes" }, metadata: { team: "blue", nested: { a: 1 } }, name: "first" },
    // Of other services: left alone.
    ...{ image: "node:22", vcpus: 2 },
  });
});
afterAll(() => world.stop());

it("a sandbox that was created runs, with the end, the environment and the labels that were ordered", async () => {
  const info = await sandbox.getInfo();
  expect(info).toMatchObject({ id: sandbox.sandboxId, provider: "mooring", status: "running", timeout: 601_000 });
  expect(info.metadata).toEqual({ by: "test", team: "blue", nested: '{"a":1}', name: "first" });
  expect(Math.abs(Date.now() - info.createdAt.getTime())).toBeLessThan(600_000);
  expect((await sandbox.runCommand("echo $SHOWN")).stdout).toBe("yes\n");
});

it("commands have two outputs, an exit code, a directory, an environment and an end", async () => {
  const failed = await sandbox.runCommand('echo "$A"; pwd; echo err >&2; exit 3', { cwd: "/tmp", env: { A: "1" } });
  expect(failed).toMatchObject({ stdout: "1\n/tmp\n", stderr: "err\n", exitCode: 3 });
  expect(await sandbox.runCommand("sleep 60", { timeout: 300 })).toMatchObject({ exitCode: 124 });
  expect(await sandbox.runCommand("kill -SEGV $$")).toMatchObject({ exitCode: 139 });
});

it("a command is heard while it runs, and one in the background is not waited for", async () => {
  const heard: string[] = [];
  const whole = await sandbox.runCommand("echo one; echo two >&2", {
    onStdout: (text) => heard.push(`out ${text}`),
    onStderr: (text) => heard.push(`err ${text}`),
  });
  expect(whole).toMatchObject({ stdout: "one\n", stderr: "two\n", exitCode: 0 });
  expect(heard.toSorted()).toEqual(["err two\n", "out one\n"]);
  const begun = await sandbox.runCommand("sleep 600; echo over > late", { background: true });
  expect(begun).toMatchObject({ exitCode: 0, stdout: "" });
  expect((await sandbox.runCommand("pgrep -f '[s]leep 600' > /dev/null && echo runs")).stdout).toBe("runs\n");
});

it("files are written, read, listed, looked for and removed", async () => {
  const { filesystem } = sandbox;
  await filesystem.mkdir("tree/sub");
  await filesystem.writeFile("tree/file", "text");
  await sandbox.runCommand("ln -s sub tree/link");
  expect(await filesystem.readFile("tree/file")).toBe("text");
  const entries = await filesystem.readdir("tree");
  expect(entries.map(({ name, type }) => `${name} ${type}`).toSorted()).toEqual([
    "file file",
    "link directory",
    "sub directory",
  ]);
  expect(await filesystem.exists("tree/file")).toBe(true);
  await filesystem.remove("tree");
  expect(await filesystem.exists("tree/file")).toBe(false);
});

it("a sandbox is found again, and gone it is not, proven before destroy resolves", async () => {
  const other = await compute.sandbox.create();
  expect((await compute.sandbox.getById(other.sandboxId))?.sandboxId).toBe(other.sandboxId);
  await other.destroy();
  const { teardown } = await other.getInstance().read();
  expect(teardown?.verified_absent_at).not.toBeNull();
  expect(await compute.sandbox.getById(other.sandboxId)).toBeNull();
  await other.destroy();
  expect(await compute.sandbox.getById("00000000000000000000")).toBeNull();
  await compute.sandbox.destroy("00000000000000000000");
});

it("files are kept in a snapshot that another sandbox begins with", async () => {
  await sandbox.filesystem.writeFile("kept", "text");
  const snapshot = await compute.snapshot.create(sandbox.sandboxId, { name: "compute" });
  expect((await compute.snapshot.list()).map(({ id, metadata }) => [id, metadata])).toEqual([
    [snapshot.id, { name: "compute" }],
  ]);
  const next = await compute.sandbox.create({ snapshotId: snapshot.id });
  expect(await next.filesystem.readFile("kept")).toBe("text");
  await next.destroy();
  await compute.snapshot.delete(snapshot.id);
});

it("a create that is given up leaves nothing that runs", async () => {
  const gaveUp = new AbortController();
  const made: string[] = [];
  const slow = {
    createView: async (...order: Parameters<Mooring["createView"]>) => {
      const view = await mooring.createView(...order);
      made.push(view.id);
      gaveUp.abort(new Error("given up"));
      return { ...view, status: "provisioning" } as typeof view;
    },
    session: (id: string) => mooring.session(id),
  } as unknown as Mooring;
  await expect(computeProvider(slow).sandbox.create({ signal: gaveUp.signal })).rejects.toThrow("given up");
  const view = await mooring.session(made[0] ?? "").until(["terminated"]);
  expect(view.terminate_reason).toBe("requested");
});

it("what the public benchmark does with each sandbox passes, and the next one has nothing of it where it works", async () => {
  for (let run = 0; run < 2; run += 1) {
    const fresh = await compute.sandbox.create();
    // In its own place: the local host leaves /tmp of the machine to all.
    expect(await fresh.runCommand("cat marker 2>/dev/null; echo used > marker")).toMatchObject({
      ...{ exitCode: 0, stdout: "" },
    });
    expect(await fresh.runCommand("node -v")).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^v\d+/) });
    await fresh.destroy();
  }
});
