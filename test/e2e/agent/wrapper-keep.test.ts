import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  processesRunning,
  removeDirectories,
  startInstance,
} from "../../support/wrapper-instance.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

/** For what does something when it is asked to end: on a busy machine it takes seconds to hear of it. What ends is not waited for. */
const longGrace = { job_grace_ms: 40_000, stop_grace_ms: 60_000 };
const nap = `sleep ${8_000_000 + process.pid}`;

describe("a job with keep", () => {
  it("[BUG-42] ends when its leader exits; what it leaves goes on, is told, and ends with the instance", async () => {
    const instance = await startInstance();
    await instance.renew();
    // The leader ends only once both are programs of their own: until then the record may name the shell or setsid.
    const bothSleep = `for p in $a $!; do until [ "$(cat /proc/$p/comm)" = sleep ]; do sleep 0.02; done; done`;
    const command = `${nap} & a=$!; setsid ${nap} & ${bothSleep}; echo up`;
    await instance.start({ id: "service", command, keep: true });
    expect(await instance.ended("service")).toMatchObject({
      state: "succeeded",
      exit_code: 0,
      tail: "up\n",
      left_running: { count: 2, names: ["sleep"], kept: true },
    });
    await instance.start({ id: "another", command: "true" });
    await instance.ended("another");
    expect(processesRunning(nap)).toHaveLength(2);
    // It is no work: only a running job is.
    expect(await instance.renew()).toMatchObject({ active_jobs: 0 });
    process.kill(instance.guardianPid, "SIGTERM");
    await instance.allGone();
    expect(processesRunning(nap)).toEqual([]);
  });

  it("[PHY-6] a program that cleans up after TERM keeps what it starts for that, also by a shell of its own", async () => {
    const instance = await startInstance({ job_grace_ms: 60_000 });
    await instance.renew();
    // The looks of the one that ends it come every 10 to 100 ms: many of them find the naps.
    const cleanUp = "sleep 0.5 && sh -c 'sleep 0.5 && touch bye'; exit";
    const service = `trap "${cleanUp}" TERM; touch up; while :; do sleep 0.05; done`;
    await instance.start({ id: "tidy", command: service });
    await until("it is up", () => existsSync(join(instance.boot.workspace_dir, "up")));
    await instance.call("DELETE", "/jobs/tidy?as=cancelled");
    expect(await instance.ended("tidy")).toMatchObject({ state: "cancelled" });
    expect(existsSync(join(instance.boot.workspace_dir, "bye"))).toBe(true);
  });

  it("[BUG-42] what was kept may go on to write, and is ended with TERM before KILL", async () => {
    const instance = await startInstance(longGrace);
    await instance.renew();
    const service = "trap 'touch bye; exit' TERM; touch up; while :; do echo more; sleep 0.05; done";
    await instance.start({
      id: "talker",
      command: `sh -c "${service}" & until [ -e up ]; do sleep 0.02; done`,
      keep: true,
    });
    const job = await instance.ended("talker");
    expect(job.left_running).toMatchObject({ kept: true });
    const { output_bytes: bytes } = await instance.job("talker");
    const ticks = "i=0; while [ $i -lt 10 ]; do i=$((i+1)); sleep 0.05; done";
    await instance.start({ id: "later", command: ticks });
    await instance.ended("later");
    expect(instance.processes().filter(({ role }) => role === "job").length).toBeGreaterThan(0);
    expect((await instance.job("talker")).output_bytes).toBe(bytes);
    process.kill(instance.guardianPid, "SIGTERM");
    await instance.allGone();
    expect(existsSync(join(instance.boot.workspace_dir, "bye"))).toBe(true);
  });

  it("[BUG-42] a cancel ends all of it, as of any other job", async () => {
    const instance = await startInstance();
    await instance.renew();
    await instance.start({ id: "cut", command: `setsid ${nap} & echo up; ${nap}`, keep: true });
    await instance.printed("cut", "up");
    // Its own shell has the words in its command line too.
    await until("both", () => processesRunning(nap).length >= 3);
    await instance.call("DELETE", "/jobs/cut?as=cancelled");
    expect(await instance.job("cut")).toMatchObject({ state: "cancelled", left_running: null });
    expect(processesRunning(nap)).toEqual([]);
  });

  it("[BUG-42] what was kept stands still while the sandbox drains for a save, goes on when it does, and hears TERM all the same", async () => {
    const instance = await startInstance(longGrace);
    await instance.renew();
    const at = join(instance.boot.workspace_dir, "ticks");
    // A child in a session of its own as well: both would change files around a save.
    const ticker = "trap 'touch bye; exit' TERM; while :; do echo x >> ticks; sleep 0.02; done";
    const command = `sh -c "${ticker}" & setsid sh -c 'while :; do echo y >> others; sleep 0.02; done' & until [ -s ticks ] && [ -s others ]; do sleep 0.02; done`;
    await instance.start({ id: "writer", command, keep: true });
    expect((await instance.ended("writer")).left_running).toMatchObject({ kept: true });
    const sizes = () => [at, join(instance.boot.workspace_dir, "others")].map((file) => statSync(file).size);
    const drained = await instance.call("POST", "/drain");
    expect(await drained.json()).toMatchObject({ active_jobs: 0 });
    const states = () =>
      instance
        .processes()
        .filter(({ role }) => role === "job")
        .map(({ pid }) => stateOf(pid));
    await until("all of it is stopped", () => states().every((state) => state === "T"));
    expect(states().length).toBeGreaterThan(1);
    const held = sizes();
    // For as long as many writes would take.
    await pause(300);
    expect(sizes()).toEqual(held);
    await instance.call("DELETE", "/drain");
    await until("it goes on", () => sizes().every((size, index) => size > (held[index] ?? Infinity)));
    await instance.call("POST", "/drain");
    process.kill(instance.guardianPid, "SIGTERM");
    await instance.allGone();
    expect(existsSync(join(instance.boot.workspace_dir, "bye"))).toBe(true);
  });
});

function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[0] ?? "";
  } catch {
    return "gone";
  }
}
