/** A host whose disk is full, whose state directory is lost or wanted twice, whose clock is wrong: it still proves and frees. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { controlPlaneHeader, type HostFile } from "../../../src/protocol/sandbox/host.ts";
import { Stack, StackFailure } from "../../../scripts/stack/stack.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { DurableFiles } from "../../../wrapper/host/records/durable-files.ts";
import { bound, ContractSession, valueOf } from "../../contract/contract-session.ts";
import type { ProviderWorld } from "../../contract/provider-harness.ts";
import { RunningHost, type HostOptions } from "../../support/running-host.ts";
import { testControlPlane, systemClock, systemIds } from "../../support/system-runtime.ts";
import { until } from "../../support/until.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const mib = 2 ** 20;
const mainFile = new URL("../../../wrapper/host/main.ts", import.meta.url).pathname;

async function running(options: HostOptions = {}): Promise<RunningHost> {
  const host = await RunningHost.start(options);
  closing.push(() => host.close());
  return host;
}

function worldOf(host: RunningHost): ProviderWorld {
  const runtime = { clock: systemClock, ids: systemIds, controlPlane: testControlPlane };
  const fetching = (...call: Parameters<typeof fetch>) => fetch(...call);
  return {
    provider: localSandbox({ url: host.url, token: host.token, ...runtime, fetch: fetching }),
    sessionId: () => host.session() as SessionId,
    now: Date.now,
    wait: (ms) => systemClock.sleep(ms),
    settle: (promise) => promise,
    jobs: { echo: String, exit: String, sleep: "sleep 300", ignoreTerm: "", fork: "", cat: "cat" },
    can: {},
    close: async () => {},
  };
}

/** A file system of its own; null where none may be mounted. */
function smallDisk(megabytes: number): string | null {
  const root = mkdtempSync(join(tmpdir(), "mooring-small-disk-"));
  closing.push(() => rmSync(root, { recursive: true, force: true }));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", root]).status !== 0) return null;
  closing.push(() => spawnSync("umount", ["-l", root]));
  return root;
}

/** To the last block. */
function fill(file: string): void {
  for (const bytes of [mib, 4_096]) {
    try {
      for (;;) appendFileSync(file, Buffer.alloc(bytes, 1));
    } catch {
      // Full, for pieces of that size.
    }
  }
}

async function ended(session: ContractSession): Promise<void> {
  valueOf(await session.retire(), "retire");
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
}

const asOurs = { [controlPlaneHeader]: await testControlPlane() };
const filesOf = async (host: RunningHost): Promise<readonly HostFile[]> =>
  ((await host.ask("GET", "/files", undefined, host.token, asOurs)).body as { files: HostFile[] }).files;

describe("what lies on the disk", () => {
  it("[BUG-110] is listed with its age, so that an audit leaves alone what is young", async () => {
    const host = await running({});
    const { provider } = worldOf(host);
    const anHourAgo = Date.now() / 1_000 - 3_600;
    const sandboxes = join(host.state, "sandboxes");
    mkdirSync(join(sandboxes, "young-g1"));
    mkdirSync(join(sandboxes, "old-g1"));
    utimesSync(join(sandboxes, "old-g1"), anHourAgo, anHourAgo);
    mkdirSync(join(host.state, "snapshots", "lost"));
    for (const file of ["s1.tar", "s1.json"]) {
      writeFileSync(join(host.state, "snapshots", "lost", file), "{}");
      utimesSync(join(host.state, "snapshots", "lost", file), anHourAgo, anHourAgo);
    }
    const files = valueOf(await provider.files!(bound()), "files");
    const ageOf = (name: string) => files.find((each) => each.name === name)?.ageMs;
    expect(files.find((each) => each.name === "s1")).toMatchObject({ kind: "snapshot", sessionId: "lost" });
    expect(ageOf("s1")).toBeGreaterThanOrEqual(3_600_000);
    expect(ageOf("old-g1")).toBeGreaterThanOrEqual(3_600_000);
    expect(ageOf("young-g1")).toBeLessThan(3_600_000);
  });
});

describe("a full disk", () => {
  it("[BUG-101] is emptied by ending sessions: retire, stop, proof and destroy need no room", async (context) => {
    const root = smallDisk(64) ?? context.skip("no small disk can be mounted here");
    const host = await running({ state: join(root, "state") });
    const world = worldOf(host);
    const session = new ContractSession(world);
    await session.held();
    const never = new ContractSession(world);
    fill(join(host.state, "sandboxes", session.order.sandboxId, "workspace", "big"));
    expect(statfsSync(root).bavail).toBe(0);
    expect(await never.launch()).toMatchObject({
      ok: false,
      failure: { code: "insufficient_space", message: expect.stringContaining("The disk is full") },
    });
    // One that has no record yet, as after a launch that was refused.
    valueOf(await never.retire(), "retire of a sandbox that never was");
    valueOf(await world.provider.snapshots!.remove(session.order.sessionId, "none", bound()), "removal of a snapshot");
    await ended(session);
    valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
    expect(statfsSync(root).bavail * statfsSync(root).bsize).toBeGreaterThan(16 * mib);
    await new ContractSession(world).launched();
  });

  it("[BUG-54] is named by the host, which stays ready to end sandboxes", async (context) => {
    const root = smallDisk(64) ?? context.skip("no small disk can be mounted here");
    const host = await running({ state: join(root, "state") });
    const health = async () => (await host.ask("GET", "/health")).body;
    expect(await health()).toMatchObject({ ready: true, problem: null });
    fill(join(root, "filler"));
    expect(await health()).toMatchObject({
      ready: true,
      problem: expect.stringContaining("The disk is full: 0 bytes"),
    });
    rmSync(join(root, "filler"));
    expect(await health()).toMatchObject({ ready: true, problem: null });
  });

  it("[BUG-54] fails the start of a stack with words that name it", async (context) => {
    const root = smallDisk(4) ?? context.skip("no small disk can be mounted here");
    fill(join(root, "filler"));
    const start = Stack.start({
      stateDirectory: join(root, "state"),
      secretsFile: join(root, "secrets"),
      port: 0,
      vars: {},
      faults: false,
      reload: false,
      cronSeconds: null,
      endSandboxes: true,
    });
    await expect(start).rejects.toThrow(/^The disk is full: .* Free some space there\./);
    await expect(start).rejects.toBeInstanceOf(StackFailure);
  });

  it("[BUG-101] keeps no host from starting, and what was stored on it is still known", async (context) => {
    const root = smallDisk(64) ?? context.skip("no small disk can be mounted here");
    const host = await running({ state: join(root, "state") });
    const world = worldOf(host);
    const session = new ContractSession(world);
    const never = new ContractSession(world);
    await session.held();
    fill(join(root, "filler"));
    valueOf(await never.retire(), "retire");
    await host.kill("SIGKILL");
    await host.start();
    expect(await never.launch()).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
    expect((await session.observe()).answer).toBe("present");
    await ended(session);
    await host.kill("SIGKILL");
    await host.start();
    expect(await session.launch()).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
    valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
    rmSync(join(root, "filler"));
    await host.kill("SIGKILL");
    await host.start();
    const records = readdirSync(join(host.state, "records"));
    expect(records).toContain(`${never.order.sandboxId}.json`);
  });

  it("[BUG-101] of which the kept room is used up as well is named by the refusal", (context) => {
    const root = smallDisk(4) ?? context.skip("no small disk can be mounted here");
    const files = new DurableFiles(root);
    files.open();
    closing.push(() => files.close());
    files.write("records/first", "before");
    fill(join(root, "filler"));
    files.write("records/first", "after");
    const fillReserve = (): void => {
      for (let index = 0; index < 1_000; index += 1) files.write(`records/${index}`, "text");
    };
    expect(fillReserve).toThrow("The disk of the sandbox host is full");
    expect(files.read("records/0")).toBe("text");
    const again = new DurableFiles(root);
    again.open();
    closing.push(() => again.close());
    expect([again.read("records/first"), again.read("records/0")]).toEqual(["after", "text"]);
    rmSync(join(root, "filler"));
    again.settle();
    expect(readFileSync(join(root, "records", "0"), "utf8")).toBe("text");
    expect(again.list("records")).toContain("first");
  });

  it("[BUG-101] whose host could never keep room still takes what it needs to end what it knows", (context) => {
    const root = smallDisk(1) ?? context.skip("no small disk can be mounted here");
    mkdirSync(join(root, "records"));
    writeFileSync(join(root, "records", "known"), "short");
    fill(join(root, "filler"));
    const files = new DurableFiles(root);
    files.open();
    closing.push(() => files.close());
    files.write("records/known", "a longer text than before");
    expect(readFileSync(join(root, "records", "known"), "utf8")).toBe("a longer text than before");
    files.write("records/known", "short");
    expect(files.read("records/known")).toBe("short");
  });
});

describe("a state directory", () => {
  it("[BUG-105] that vanished is made anew by the living host: same identity, same records, and still proof", async () => {
    const host = await running();
    const world = worldOf(host);
    const session = new ContractSession(world);
    const gone = new ContractSession(world);
    await session.held();
    valueOf(await gone.retire(), "retire");
    const before = (await host.ask("GET", "/health")).body as { host_id: string };
    rmSync(host.state, { recursive: true });
    expect((await host.ask("GET", "/health")).body).toMatchObject({ host_id: before.host_id, ready: true });
    expect(existsSync(join(host.state, "host.json"))).toBe(true);
    await host.kill("SIGKILL");
    await host.start();
    expect((await host.ask("GET", "/health")).body).toMatchObject({ host_id: before.host_id });
    expect(await gone.launch()).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
    expect((await session.observe()).answer).toBe("present");
    await ended(session);
    valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
  });

  it("[BUG-105] that cannot be made anew is no ready host, and nothing is called absent", async () => {
    const home = mkdtempSync(join(tmpdir(), "mooring-host-home-"));
    closing.push(() => rmSync(home, { recursive: true, force: true }));
    const host = await running({ state: join(home, "state") });
    rmSync(host.state, { recursive: true });
    // A link that leads nowhere: no directory can be made in its place, whoever the host runs as.
    symlinkSync("/proc/nowhere/at/all", host.state);
    const { body } = await host.ask("GET", "/health");
    expect(body).toMatchObject({ ready: false, problem: expect.stringMatching(/cannot be made again/) });
    expect(JSON.stringify(body)).not.toContain(home);
    const seen = await host.ask("GET", "/sandboxes/a-g1/observe?session_id=a&generation=1");
    expect(seen).toMatchObject({ status: 503, body: { code: "state_unusable" } });
    rmSync(host.state);
    expect((await host.ask("GET", "/health")).body).toMatchObject({ ready: true });
  });

  it("[BUG-111] is one host's, however many start at once beside a stale lock", async () => {
    const state = mkdtempSync(join(tmpdir(), "mooring-host-"));
    closing.push(() => rmSync(state, { recursive: true, force: true }));
    writeFileSync(join(state, "host.lock"), "999999999 1");
    const hosts = Array.from({ length: 6 }, () => {
      const child = spawn(process.execPath, [mainFile, "--port", "0", "--state", state], {
        stdio: ["ignore", "pipe", "ignore"],
        env: { ...process.env, LOCAL_HOST_TOKEN: "x".repeat(32) },
      });
      closing.push(() => child.kill("SIGKILL"));
      const listens = once(child.stdout, "data").then(() => "listens" as const);
      return { child, outcome: Promise.race([listens, once(child, "exit").then(([code]) => Number(code))]) };
    });
    const outcomes = await Promise.all(hosts.map(({ outcome }) => outcome));
    expect(outcomes.filter((outcome) => outcome === "listens")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 2)).toHaveLength(5);
    const winner = hosts[outcomes.indexOf("listens")];
    const exited = once(winner!.child, "exit");
    winner!.child.kill("SIGKILL");
    await exited;
    const next = await running({ state });
    expect((await next.ask("GET", "/health")).status).toBe(200);
  });
});

describe("what a session leaves on disk", () => {
  it("[BUG-50] is taken away while it is still being removed, and one that fails is shown with why and tried again", async (context) => {
    const host = await running();
    const world = worldOf(host);
    const session = new ContractSession(world);
    await session.held();
    const stuck = join(host.state, "sandboxes", session.order.sandboxId, "workspace", "stuck");
    writeFileSync(stuck, "");
    if (spawnSync("chattr", ["+i", stuck]).status !== 0) context.skip("no immutable files here");
    await ended(session);
    valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
    expect((await session.observe()).answer).toBe("absent");
    const removing = join(host.state, "sandboxes", ".removing");
    closing.push(() => {
      for (const entry of readdirSync(removing)) spawnSync("chattr", ["-R", "-i", join(removing, entry)]);
    });
    const shown = await until("the failed removal is shown", async () =>
      (await filesOf(host)).find(({ name, removal }) => name === session.order.sandboxId && removal !== null),
    );
    expect(shown).toMatchObject({ kind: "workspace", session_id: session.order.sessionId });
    expect(shown?.removal?.why).toMatch(/^EPERM in /);
    expect(shown?.removal?.why).not.toContain(host.state);
    await host.kill("SIGKILL");
    await host.start();
    for (const entry of readdirSync(removing)) spawnSync("chattr", ["-R", "-i", join(removing, entry)]);
    await until("a later try removes it", async () => readdirSync(removing).length === 0);
    expect((await filesOf(host)).filter(({ removal }) => removal !== null)).toEqual([]);
  });

  it("[BUG-53] does not break its size or its save when it is very deep: the refusal says what to do", async () => {
    const host = await running();
    const world = worldOf(host);
    const session = new ContractSession(world);
    await session.held();
    const workspace = join(host.state, "sandboxes", session.order.sandboxId, "workspace");
    const name = "d".repeat(200);
    const script = `cd "$1"; for i in $(seq 30); do mkdir ${name}; cd -P ${name}; done`;
    expect(spawnSync("bash", ["-c", script, "deep", workspace]).status).toBe(0);
    const resources = valueOf(await world.provider.readResources(session.target(), bound()), "resources");
    expect(resources.diskUsedBytes).toBeGreaterThan(0);
    const saved = await world.provider.snapshots!.save(session.target(), "s1", bound());
    expect(saved).toMatchObject({ ok: false, failure: { effect: "none" } });
    expect(JSON.stringify(saved)).toContain("No path longer than 4093 bytes can be restored: shorten or delete it");
    expect(JSON.stringify(saved)).not.toContain(host.state);
    await ended(session);
    valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
    await until("it is gone", async () => readdirSync(join(host.state, "sandboxes")).length === 1);
  });

  it("[BUG-32] a workspace that a job deleted is saved as an empty one", async () => {
    const host = await running();
    const world = worldOf(host);
    const session = new ContractSession(world);
    await session.held();
    rmSync(join(host.state, "sandboxes", session.order.sandboxId, "workspace"), { recursive: true });
    valueOf(await world.provider.snapshots!.save(session.target(), "s1", bound()), "save");
  });
});

it("[BUG-108] a launch that is late by the host's clock is refused with both clocks", async () => {
  const host = await running();
  const session = new ContractSession(worldOf(host));
  const order = { ...session.order, launchNotAfter: Date.now() - 3_600_000 };
  const late = await worldOf(host).provider.launch(order, bound());
  const limit = new Date(order.launchNotAfter).toISOString();
  expect(late).toMatchObject({ ok: false, failure: { code: "refused_late" } });
  expect(JSON.stringify(late)).toContain(`by the control plane's clock nothing may start after ${limit}`);
  expect(JSON.stringify(late)).toContain("The host's clock says");
});
