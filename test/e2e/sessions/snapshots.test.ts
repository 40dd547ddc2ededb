/** Snapshots and forks through every hop: client and E2B's own SDK, Worker, registry, local host, a real agent whose processes stand still. */
import { Sandbox, SandboxNotFoundError } from "e2b";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Mooring, Session } from "../../../src/client/mooring.ts";
import { e2bFormOf } from "../../../src/protocol/api-keys.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let mooring: Mooring;
let options: { readonly apiKey: string; readonly apiUrl: string; readonly sandboxUrl: string };
beforeAll(async () => {
  world = await temporaryStack({ vars: { ...calmVars, TENANT_MAX_SANDBOXES: "12" } });
  const { url } = world.stack;
  const key = await world.stack.apiKey("snapshots");
  mooring = new Mooring({ url, key, timeoutMs: 60_000 });
  options = { apiKey: e2bFormOf(await world.stack.apiKey("e2b-snapshots")), apiUrl: url, sandboxUrl: url };
});
afterAll(() => world.stop());

const running = (order = {}) => mooring.create({ idle_timeout_seconds: 600, ...order }, { waitSeconds: 60 });

describe("a snapshot", () => {
  it("is taken while a process writes: the process goes on, and the files are of one instant [TRA-15]", async () => {
    const session = await running();
    await session.files.write("notes.txt", "kept");
    // Two files that always say the same, but for an instant in between.
    const writer = await session.start({
      command: "i=0; while :; do i=$((i+1)); echo $i >one.new; mv one.new one; cp one two.new; mv two.new two; done",
    });
    await until("the writer writes", async () => (await session.exec(["cat", "two"])).exitCode === 0);
    const snapshot = await session.snapshot("with-notes");
    expect(snapshot).toMatchObject({ name: "with-notes", status: "ready", session_id: session.id });
    expect(snapshot.size_bytes).toBeGreaterThan(0);
    const before = Number(await session.files.readText("one"));
    await until("the writer goes on", async () => Number(await session.files.readText("one")) > before);
    expect((await writer.read()).state).toBe("running");
    await session.end();

    const other = await running({ snapshot: "with-notes" });
    expect(await other.files.readText("notes.txt")).toBe("kept");
    const [one, two] = [Number(await other.files.readText("one")), Number(await other.files.readText("two"))];
    expect(one - two).toBeGreaterThanOrEqual(0);
    expect(one - two).toBeLessThanOrEqual(1);
    await other.end();
  });

  it("is listed, read, and deleted with proof; then nothing begins with it [TRA-15]", async () => {
    const session = await running();
    const { id } = await session.snapshot("short-lived");
    await expect(session.snapshot("short-lived")).rejects.toMatchObject({ code: "already_exists" });
    const listed: string[] = [];
    for await (const each of mooring.snapshots.list({ session_id: session.id })) listed.push(each.id);
    expect(listed).toEqual([id]);
    expect((await mooring.snapshots.get("short-lived")).id).toBe(id);
    const deleted = await mooring.snapshots.delete("short-lived");
    expect(deleted).toMatchObject({ id, status: "deleted", deletion: { attempts: 1, last_error: null } });
    expect(deleted.deletion?.evidence).toContain("found no file");
    expect((await mooring.snapshots.get(id)).status).toBe("deleted");
    await expect(mooring.snapshots.get("short-lived")).rejects.toMatchObject({ code: "not_found" });
    await expect(mooring.create({ snapshot: id })).rejects.toMatchObject({ code: "snapshot_missing" });
    await session.end();
  });

  it("of another tenant is not there, whatever it is called [TRA-15]", async () => {
    const session = await running();
    const { id } = await session.snapshot();
    const stranger = new Mooring({
      url: world.stack.url,
      key: await world.stack.apiKey("stranger"),
      timeoutMs: 60_000,
    });
    await expect(stranger.snapshots.get(id)).rejects.toMatchObject({ code: "not_found" });
    await expect(stranger.snapshots.delete(id)).rejects.toMatchObject({ code: "not_found" });
    await expect(stranger.create({ snapshot: id })).rejects.toMatchObject({ code: "snapshot_missing" });
    expect((await mooring.snapshots.get(id)).status).toBe("ready");
    await session.end();
  });
});

describe("forks", () => {
  it("begin with its files and env, and share nothing afterwards [TRA-15]", async () => {
    const session = await running({ env: { GREETING: "hello" }, labels: { of: "forks" } });
    await session.files.write("state.txt", "before");
    const forks = await session.fork({ count: 2 });
    const [one, two] = forks.filter((each) => each instanceof Session);
    if (one === undefined || two === undefined) throw new Error(JSON.stringify(forks));
    await one.files.write("state.txt", "changed");
    expect(await two.files.readText("state.txt")).toBe("before");
    expect(await session.files.readText("state.txt")).toBe("before");
    expect((await two.exec("echo $GREETING")).stdout).toBe("hello\n");
    expect((await two.read()).labels).toEqual({ of: "forks" });
    const kept: string[] = [];
    for await (const each of mooring.snapshots.list({ session_id: session.id })) kept.push(each.id);
    expect(kept).toEqual([]);
    await Promise.all([session, one, two].map((each) => each.end()));
  });
});

describe("E2B's own SDK", () => {
  it("takes, lists, uses and deletes snapshots [TRA-13] [TRA-15]", async () => {
    const sandbox = await Sandbox.create("base", options);
    await sandbox.files.write("app/config.json", "{}");
    const named = await sandbox.createSnapshot({ name: "my-snapshot" });
    expect(named.names.some((name) => name.includes("my-snapshot"))).toBe(true);
    const snapshots = await sandbox.listSnapshots().nextItems();
    expect(snapshots.map(({ snapshotId }) => snapshotId)).toEqual([named.snapshotId]);
    expect(await Sandbox.listSnapshots({ ...options, name: "nothing" }).nextItems()).toEqual([]);
    for (const reference of [named.snapshotId, "my-snapshot", "team/my-snapshot:default"]) {
      const other = await Sandbox.create(reference, options);
      expect(await other.files.read("app/config.json")).toBe("{}");
      await other.kill();
    }
    expect(await Sandbox.deleteSnapshot(named.snapshotId, options)).toBe(true);
    expect(await Sandbox.deleteSnapshot(named.snapshotId, options)).toBe(false);
    await sandbox.kill();
  });

  it("forks a sandbox, and hears of one that is gone [TRA-13] [TRA-15]", async () => {
    const sandbox = await Sandbox.create("base", options);
    await sandbox.files.write("state.txt", "before");
    const forks = await sandbox.fork({ count: 2, timeoutMs: 600_000 });
    const made = forks.filter((each) => each instanceof Sandbox);
    expect(made).toHaveLength(2);
    await made[0]?.files.write("state.txt", "changed");
    expect(await made[1]?.files.read("state.txt")).toBe("before");
    expect(await sandbox.isRunning()).toBe(true);
    await Promise.all([...made, sandbox].map((each) => each.kill()));
    await expect(sandbox.fork()).rejects.toThrow(SandboxNotFoundError);
  });
});
