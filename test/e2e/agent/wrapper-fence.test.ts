import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  isRunning,
  processesRunning,
  removeDirectories,
  startInstance,
  type Instance,
} from "../../support/wrapper-instance.ts";
import { exitCodes } from "../../../wrapper/agent/exit-codes.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

/** Of the last renewal: short enough to wait for. */
const ttlMs = 5_000;

/**
 * With jobs that do not want to go: one ignores TERM, one has left its group, one has thrown its environment away. Its lease is the long
 * one of its boot document while they start, and a short one from the last renewal on: a busy machine takes its time for the jobs.
 */
async function busyInstance(grace = { job_grace_ms: 500, stop_grace_ms: 2_000 }): Promise<Instance> {
  const instance = await startInstance(grace);
  await instance.renew();
  await instance.start({ id: "stubborn", command: "trap '' TERM; echo up; while :; do sleep 1; done" });
  await instance.start({
    id: "away",
    command: "(setsid sh -c 'trap \"\" TERM; echo up; while :; do sleep 1; done' &); sleep 300",
  });
  await instance.start({
    id: "bare",
    command: `env -i sh -c 'trap "" TERM; echo up; while :; do /bin/sleep 1; done' ${bareName(instance)}`,
  });
  for (const id of ["stubborn", "away", "bare"]) await instance.printed(id, "up");
  return instance;
}

/** What the job without an environment is called, for those who look for it. */
const bareName = ({ boot }: Instance): string => `bare-${boot.instance_id}`;

/**
 * A busy instance with a short lease, some of whose processes were frozen before that lease ran out. On a machine that stands still for
 * longer than the lease between the two, it has ended by itself: then another one is tried.
 */
async function frozenUnderLease(start: () => Promise<Instance>, pidsOf: (of: Instance) => number[]): Promise<Instance> {
  for (let tries = 0; tries < 5; tries += 1) {
    const instance = await start();
    const before = performance.now();
    const isFrozen = await instance
      .renew(ttlMs)
      .then(() => pidsOf(instance).every((pid) => process.kill(pid, "SIGSTOP")))
      .catch(() => false);
    // The deadline is counted from the renewal, which came after `before`.
    if (isFrozen && performance.now() - before < ttlMs) return instance;
    for (const pid of pidsOf(instance)) if (isRunning(pid)) process.kill(pid, "SIGCONT");
    await instance.dispose();
  }
  throw new Error("The machine stood still at every try.");
}

/** Zero processes, those without markers too. The lease of the boot document would have them live on for far longer than this waits. */
async function allGone(instance: Instance): Promise<void> {
  const groups = [...instance.processes().map(({ pid }) => pid)];
  await until("no process left", () => instance.processes().length === 0 && !groups.some(isRunning));
}

describe("with nobody to renew it", () => {
  it("a wrapper that was never renewed ends by itself within a TTL [PHY-11]", async () => {
    // It has to come up within that.
    const instance = await startInstance({ lease_ttl_ms: 20_000 });
    expect(await instance.spawned.exited).toEqual({ code: exitCodes.ended, signal: null });
    expect(instance.processes()).toEqual([]);
    expect(instance.log()).toContain('"cause":"lease_expired"');
  });

  it("a renewed one ends with all its jobs when renewals stop, and lives as long as they come [PHY-11]", async () => {
    const instance = await busyInstance();
    // None of these renewals lasts until the loop ends. On a busy machine the next one may be seconds late.
    const livesMs = 20_000;
    const started = performance.now();
    while (performance.now() - started < livesMs + 1_000) {
      await instance.renew(livesMs);
      await pause(200);
    }
    expect((await instance.call("GET", "/health")).status).toBe(200);
    const last = performance.now();
    await instance.renew(ttlMs);
    await allGone(instance);
    // Not at once either: a lease is also a promise to the job.
    expect(performance.now() - last).toBeGreaterThan(ttlMs - 100);
  });
});

describe("with one of the two gone or frozen", () => {
  it("the wrapper is killed: the guardian ends every job [PHY-13]", async () => {
    const instance = await busyInstance();
    process.kill(instance.wrapperPid, "SIGKILL");
    await allGone(instance);
    expect((await instance.spawned.exited).code).toBe(exitCodes.ended);
  });

  it("the wrapper is frozen: the guardian kills it and every job once the deadline has passed [PHY-13]", async () => {
    const instance = await frozenUnderLease(busyInstance, ({ wrapperPid }) => [wrapperPid]);
    await allGone(instance);
    expect(instance.log()).toContain("the deadline passed in silence");
  });

  it("the guardian is killed: the wrapper fences itself at once, because nobody would end the jobs of a frozen wrapper [PHY-13]", async () => {
    const instance = await busyInstance();
    process.kill(instance.guardianPid, "SIGKILL");
    await allGone(instance);
    expect(instance.log()).toContain('"cause":"guardian_gone"');
  });

  it("the guardian is frozen: the wrapper still ends all at its deadline, and wakes the guardian to end too [PHY-13]", async () => {
    const instance = await frozenUnderLease(busyInstance, ({ guardianPid }) => [guardianPid]);
    await allGone(instance);
  });

  it("the guardian is frozen while it ends what a killed wrapper left: thawed, it goes on and ends [PHY-13]", async () => {
    // The guardian waits for jobs that ignore TERM until the test ends them.
    const instance = await busyInstance({ job_grace_ms: 120_000, stop_grace_ms: 150_000 });
    process.kill(instance.wrapperPid, "SIGKILL");
    await until("the guardian has begun", () => instance.log().includes('"wrapper ended"'));
    process.kill(instance.guardianPid, "SIGSTOP");
    // The last of its jobs ends in the freeze, and nobody tells it.
    const left = [...instance.processes().map(({ pid }) => pid), ...processesRunning(bareName(instance))];
    for (const pid of left) if (pid !== instance.guardianPid && isRunning(pid)) process.kill(pid, "SIGKILL");
    await until("only the frozen one is left", () => instance.processes().length === 1);
    process.kill(instance.guardianPid, "SIGCONT");
    await allGone(instance);
    expect((await instance.spawned.exited).code).toBe(exitCodes.ended);
  });

  it("both are frozen past the deadline: once thawed, both end before they serve anything [I8]", async () => {
    const both = ({ guardianPid, wrapperPid }: Instance): number[] => [guardianPid, wrapperPid];
    const instance = await frozenUnderLease(startInstance, both);
    const pids = both(instance);
    // They wait in the socket and are read after the thaw, perhaps before any timer.
    const asked = Array.from({ length: 5 }, (_, index) =>
      instance
        .call("POST", "/jobs", {
          id: `late-${index}`,
          command: `touch ran; sleep 987654.${process.pid}`,
          timeout_ms: 60_000,
        })
        .then((response) => response.status)
        .catch(() => 0),
    );
    // By now the deadline has passed: it was counted from before the answer to the renewal.
    await pause(ttlMs + 500);
    for (const pid of pids.toReversed()) process.kill(pid, "SIGCONT");
    await allGone(instance);
    for (const status of await Promise.all(asked)) expect(status).not.toBe(201);
    expect(instance.log()).not.toContain("job started");
    expect(processesRunning(`sleep 987654.${process.pid}`)).toEqual([]);
  });
});

describe("with a newer generation", () => {
  it("an authenticated request of a newer generation ends everything; one that is not authenticated ends nothing [FEN-3]", async () => {
    const instance = await busyInstance();
    const stranger = await instance.call("GET", "/health", undefined, { generation: "8", token: "guess" });
    expect(stranger.status).toBe(401);
    expect((await instance.call("GET", "/health")).status).toBe(200);
    const newer = await instance.call("GET", "/health", undefined, { generation: "8" });
    expect([newer.status, (await newer.json<{ code: string }>()).code]).toEqual([409, "wrong_generation"]);
    await allGone(instance);
    expect(instance.log()).toContain('"cause":"newer_generation"');
  });
});
