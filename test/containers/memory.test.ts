/** Memory of a real container: what an idle one takes, and what a session tells when the kernel ends its processes for want of it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { must } from "../../scripts/containers/run-command.ts";
import { until } from "../support/until.ts";
import { describeOnContainers, say, timed } from "./support/real-containers.ts";
import { shortLeases } from "./support/leases.ts";
import { containerOf, containersOf, type JobView, RealMooring, type SessionView } from "./support/real-mooring.ts";

/** What an idle agent may take, with everything that idles beside it. */
const idleMegabytes = 75;
/** Of every process in the container but the shell that asks, in kB and with its name. */
const residents =
  'for p in /proc/[0-9]*; do [ "${p#/proc/}" = $$ ] || echo "$(sed -n "s/^VmRSS:[[:space:]]*//p" $p/status 2>/dev/null) $(cat $p/comm 2>/dev/null)"; done';

describeOnContainers("memory of a container", () => {
  const mooring = new RealMooring(shortLeases);
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  const limit = (id: string, megabytes: number): void =>
    void must("docker", ["update", "--memory", `${megabytes}m`, "--memory-swap", `${megabytes}m`, containerOf(id)]);

  it("an idle agent with all that idles beside it stays within its bound", async () => {
    const id = await mooring.running();
    await mooring.job(id, "true");
    const seen = mooring.readInContainer(id, residents);
    const processes = [...seen.matchAll(/^(\d+) kB (.*)$/gm)].map(([, kilobytes, name]) => ({ kilobytes, name }));
    const sum = processes.reduce((total, { kilobytes }) => total + Number(kilobytes), 0) / 1_024;
    say(`idle container: ${sum.toFixed(0)} MB resident: ${JSON.stringify(processes)}`);
    // Shell, its watch, and the agent, which Node names after its main thread.
    expect(processes.length).toBeGreaterThanOrEqual(3);
    expect(Math.max(...processes.map(({ kilobytes }) => Number(kilobytes)))).toBeGreaterThan(20_000);
    expect(sum).toBeLessThanOrEqual(idleMegabytes);
    await mooring.ended(id);
  });

  it("a job that takes too much memory is killed and told, and its session goes on [CON-6]", async () => {
    const id = await mooring.running();
    limit(id, 256);
    const { id: job } = await mooring.call<JobView>("POST", `/v1/sessions/${id}/jobs`, {
      command: "exec python3 -c 'x = bytearray(600_000_000)'",
    });
    const ended = await until("the job ends", async () => {
      const view = await mooring.call<JobView & { readonly signal: string | null }>(
        "GET",
        `/v1/sessions/${id}/jobs/${job}`,
      );
      return ["failed", "succeeded", "lost"].includes(view.state) ? view : null;
    });
    expect(ended).toMatchObject({ state: "failed", signal: "SIGKILL" });
    expect(await mooring.job(id, "echo here")).toBe("here\n");
    await mooring.ended(id);
  });

  it(
    "a container whose agent the kernel kills for memory is seen as lost, told so, and proven gone [CON-6]",
    { timeout: 240_000 },
    async () => {
      const id = await mooring.running({ on_loss: "hold" });
      // Of the agent's memory some 35 MB are its own. The rest is read from files, and can be read again.
      limit(id, 80);
      // Memory that no process has: with nothing to reclaim, the kernel takes the largest process, which is the agent.
      const { value: lost, ms } = await timed(async () => {
        await mooring.call("POST", `/v1/sessions/${id}/jobs`, {
          command: "head -c 63M /dev/zero > /dev/shm/full; sleep 100",
        });
        return mooring.becomes(id, "lost");
      });
      say(
        `a container whose agent the kernel kills for memory: lost and proven gone after ${(ms / 1_000).toFixed(1)} s`,
      );
      expect(containersOf(id)).toEqual([]);
      expect(lost.teardown?.reason).toBe("lost");
      expect(lost.teardown?.verified_absent_at).not.toBeNull();
      const { data } = await mooring.call<{ readonly data: readonly { readonly type: string }[] }>(
        "GET",
        `/v1/sessions/${id}/events?limit=100`,
      );
      expect(data.map(({ type }) => type)).toContain("sandbox_lost");
      expect((await mooring.ended(id)) satisfies SessionView).toMatchObject({ status: "terminated" });
    },
  );
});
