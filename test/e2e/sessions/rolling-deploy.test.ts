/**
 * Deploys while wrappers of other versions run, with real processes: the frozen bundle of the release before protocol 2, and
 * a bundle of a version that is yet to come. "The deploy" is what it is in the field: the rows of the old release, the new
 * code over them, and a host that has the new bundle.
 */
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { wrapperProtocol } from "../../../src/domain/state/wrapper-protocol.ts";
import { LiveSession } from "../../support/live-session.ts";
import { pidsWith } from "../../support/processes.ts";
import { RunningHost } from "../../support/running-host.ts";
import { until } from "../../support/until.ts";
import { removeDirectories, temporaryDirectory, wrapperBundle } from "../../support/wrapper-instance.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const older = join(root, "test/fixtures/wrapper-protocol-1.js");
let current = "";
let newer = "";
let host: RunningHost | null = null;
let session: LiveSession | null = null;

beforeAll(async () => {
  current = await wrapperBundle();
  newer = join(temporaryDirectory(), "wrapper-of-tomorrow.js");
  const env = { ...process.env, WRAPPER_AS_PROTOCOL: String(wrapperProtocol + 1) };
  execFileSync(process.execPath, ["scripts/builds/build-wrapper.ts", newer], { cwd: root, env });
});
afterEach(async () => {
  session?.close();
  await host?.close();
});
afterAll(removeDirectories);

async function launchedWith(wrapper: string): Promise<{ host: RunningHost; session: LiveSession }> {
  host = await RunningHost.start({ arguments: ["--wrapper", wrapper] });
  session = new LiveSession(host);
  const live = session;
  await live.create({ idle_timeout_seconds: null });
  await until("it runs", async () => (await live.view()).status === "running");
  return { host, session: live };
}

/** The rows as a release that knows only this protocol left them. */
function rowsOf(live: LiveSession, wrapper: object | null): void {
  // What is in memory would be written over them.
  live.close();
  for (const row of live.sql.run("SELECT generation, record FROM lease WHERE phase = 'held'")) {
    const { wrapper: _, ...record } = JSON.parse(String(row["record"])) as Record<string, unknown>;
    const text = JSON.stringify(wrapper === null ? record : { ...record, wrapper });
    live.sql.run(
      "UPDATE lease SET record = ?, record_version = 1 WHERE generation = ?",
      text,
      row["generation"] as number,
    );
  }
  live.sql.run("UPDATE session SET record_version = 1");
}

const wrapperOf = async ({ id }: LiveSession): Promise<number> =>
  until("its wrapper", () =>
    pidsWith("MOORING_ROLE=wrapper").find((pid) => pidsWith(`MOORING_SESSION_ID=${id}`).includes(pid)),
  );

describe("an older wrapper under lease", () => {
  it("finishes its job, is then replaced with its files, and is proven gone [LEA-17]", async () => {
    const { host: running, session: live } = await launchedWith(older);
    await live.run(
      "long",
      "echo begun > notes.txt; while [ ! -e done ]; do sleep 0.1; done; echo finished >> notes.txt; cat notes.txt",
    );
    await until("the job runs", async () => (await live.job("long")).state === "running");
    const before = await live.view();
    const oldWrapper = await wrapperOf(live);

    rowsOf(live, null);
    await running.kill("SIGKILL");
    await running.start(["--wrapper", current]);
    live.restart();
    // Renewed by the new code, several times over, and left alone while it works.
    const renewals = () =>
      JSON.parse(String(live.sql.run("SELECT record FROM lease WHERE phase = 'held'")[0]?.["record"] ?? "{}")) as {
        renewals?: { sequence: number };
      };
    const then = renewals().renewals?.sequence ?? 0;
    await until("it is renewed by the new code", () => (renewals().renewals?.sequence ?? 0) > then + 3);
    expect(await live.view()).toMatchObject({ status: "running", generation: before.generation });
    expect(await wrapperOf(live)).toBe(oldWrapper);

    execFileSync("touch", [join(running.state, "sandboxes", `${live.id}-g${before.generation}`, "workspace", "done")]);
    await until("another generation runs", async () => {
      const view = await live.view();
      return view.status === "running" && view.generation !== before.generation;
    });
    expect(await live.job("long")).toMatchObject({
      state: "succeeded",
      exit_code: 0,
      output_tail: "begun\nfinished\n",
    });
    await live.run("after", "cat notes.txt");
    await until("the next job is done", async () => (await live.job("after")).ended_at !== null);
    expect((await live.job("after")).output_tail).toBe("begun\nfinished\n");
    expect(await live.events()).toEqual(expect.arrayContaining(["upgrading", "saving", "saved", "sandbox_replaced"]));
    expect(pidsWith(`MOORING_GENERATION=${before.generation}`)).toEqual([]);
    expect((await live.view()).teardown).toMatchObject({ generation: before.generation, reason: "upgraded" });
    expect((await live.view()).teardown?.verified_absent_at).not.toBeNull();
  });

  it("is not replaced for ever by a host that has nothing newer [LEA-17]", async () => {
    const { session: live } = await launchedWith(older);
    const before = await live.view();
    await live.run("j", "sleep 2; echo done");
    await until("the job is done", async () => (await live.job("j")).state === "succeeded");
    expect(await live.view()).toMatchObject({ status: "running", generation: before.generation });
    expect(await live.events()).not.toContain("upgrading");
  });

  it("cannot be given a workspace to prepare, and the session says so instead of running without it", async () => {
    host = await RunningHost.start({ arguments: ["--wrapper", older] });
    // It tries until it has to be provisioned, and tells then what was wrong last. With more tries in that time the tenant's launches would be
    // paused, and that would be the last.
    const patient = { provisionMs: 40_000, launchCallMs: 15_000, readyWaitMs: 15_000 };
    session = new LiveSession(host, { ...patient, launchBackoffBaseMs: 25_000, launchBackoffCapMs: 25_000 });
    const live = session;
    await live.create({ workspace: { setup: ["true"] } });
    await until("it has failed", async () => (await live.view()).status === "failed", 180_000);
    expect((await live.view()).failure).toContain("cannot prepare a workspace");
    expect(pidsWith(`MOORING_SESSION_ID=${live.id}`)).toEqual([]);
  });
});

describe("a newer wrapper after a rollback", () => {
  it("is spoken with in the older version, keeps its job and is left alone [LEA-17]", async () => {
    const { session: live } = await launchedWith(newer);
    rowsOf(live, { protocol: wrapperProtocol + 1, launchedBy: wrapperProtocol + 1, replacement: { type: "none" } });
    live.restart();
    const before = await live.view();
    await live.run("j", "sleep 2; echo done");
    await until("the job is done", async () => (await live.job("j")).state === "succeeded");
    expect(await live.view()).toMatchObject({ status: "running", generation: before.generation });
    expect(await live.events()).not.toContain("upgrading");
  });

  it("prepares a workspace for the older code as its own wrapper would", async () => {
    host = await RunningHost.start({ arguments: ["--wrapper", newer] });
    session = new LiveSession(host);
    const live = session;
    await live.create({ workspace: { setup: ["echo from tomorrow > made.txt"] } });
    await until("it runs", async () => (await live.view()).status === "running");
    await live.run("j", "cat made.txt");
    await until("the job is done", async () => (await live.job("j")).ended_at !== null);
    expect((await live.job("j")).output_tail).toBe("from tomorrow\n");
  });
});
