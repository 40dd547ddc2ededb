/** The provider `cloudflare` on real containers: a session from its creation to the proof of its end. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { must, run } from "../../scripts/containers/run-command.ts";
import { until } from "../support/until.ts";
import { describeOnContainers, killAgent } from "./support/real-containers.ts";
import { containerOf, containersOf, containersOfClass, RealMooring, type SessionView } from "./support/real-mooring.ts";

const rounds = 10;
const capSysPtrace = 1n << 19n;
/** The agent listens at one port; nothing else of root's listens. */
const asJob =
  "curl -s -o /dev/null -m 5 -w '%{http_code}\\n' http://127.0.0.1:8700/health; grep -c ' 00010000 ' /proc/net/unix | grep -v '^0$' || true";

describeOnContainers("a session in a container of its own", () => {
  const mooring = new RealMooring();
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  it("runs jobs as a user without any capability, proves it, and is proven gone when it is deleted [CON-2, CON-8, BUG-24]", async () => {
    const id = await mooring.running();
    // Root of this engine's containers may not look into processes of others: a helper of the jobs' user does.
    const root = mooring.readInContainer(id, "grep CapBnd /proc/1/status");
    expect(BigInt(`0x${root.trim().split(/\s+/).at(-1)}`) & capSysPtrace).toBe(0n);
    const said = await mooring.job(
      id,
      "id -un; echo $HOME; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; test -e /run/mooring/order || echo gone",
    );
    expect(said).toContain("user\n/home/user\n");
    expect([...said.matchAll(/^Cap(\w+):\s+0{16}$/gm)].map(([, set]) => set)).toEqual([
      "Inh",
      "Prm",
      "Eff",
      "Bnd",
      "Amb",
    ]);
    expect(said).toMatch(/NoNewPrivs:\s+1/);
    expect(said).toContain("gone");
    // As a job, at every port and socket that something of root has in this container: the agent's own, which wants its secret.
    expect(await mooring.job(id, asJob)).toBe("401\n");
    expect((await mooring.call<SessionView>("GET", `/v1/sessions/${id}`)).jobs_apart).toEqual({
      proven: true,
      unproven: [],
    });
    expect(containersOf(id)).toHaveLength(1);
    const view = await mooring.ended(id);
    expect(view.teardown?.verified_absent_at).not.toBeNull();
    expect(view.teardown?.evidence).toContain("Its jobs had a user of their own and no capability");
    expect(containersOf(id)).toEqual([]);
  });

  it("the container ends when its agent is killed, and the loss is seen [CON-6]", async () => {
    const id = await mooring.running();
    // The command dies with the container that it runs in.
    run("docker", ["exec", containerOf(id), "sh", "-c", killAgent]);
    await until("nothing of it runs", () => containersOf(id).length === 0);
    expect((await mooring.ended(id)).teardown?.verified_absent_at).not.toBeNull();
  });

  it("a frozen container is not called absent, and is ended all the same [CON-2, CON-6]", async () => {
    const id = await mooring.running();
    must("docker", ["pause", containerOf(id)]);
    expect((await mooring.ended(id)).teardown?.verified_absent_at).not.toBeNull();
    expect(containersOf(id)).toEqual([]);
  });

  it("an engine that starts the main process again does not revive the container [CON-3]", async () => {
    const id = await mooring.running();
    const name = containerOf(id);
    must("docker", ["kill", name]);
    must("docker", ["start", name]);
    await until("it has ended by itself", () => containersOf(id).length === 0);
    expect((await mooring.ended(id)).teardown?.verified_absent_at).not.toBeNull();
  });

  it("a place in a shared container is refused in words, and nothing is started [BUG-23]", async () => {
    const why = await mooring.call("POST", "/v1/sessions", { isolation: "shared" }).catch(String);
    expect(why).toContain("unsupported_by_provider");
    expect(why).toContain("gives every session a container of its own");
    expect(containersOfClass("")).toEqual([]);
  });

  it("files survive pause and resume, round after round [CON-12]", { timeout: 600_000 }, async () => {
    const id = await mooring.running({ auto_resume: false });
    await mooring.job(
      id,
      "mkdir -p tree/deep && seq 1000 > tree/deep/numbers && ln -s deep/numbers tree/link && chmod 640 tree/deep/numbers",
    );
    const sum = "find tree -printf '%P %y %m %u %l\\n' | sort | sha256sum; sha256sum tree/deep/numbers";
    const before = await mooring.job(id, sum);
    for (let round = 0; round < rounds; round += 1) {
      await mooring.call("POST", `/v1/sessions/${id}/pause`, {});
      await mooring.becomes(id, "paused");
      expect(containersOf(id)).toEqual([]);
      await mooring.call("POST", `/v1/sessions/${id}/resume`, {});
      await mooring.becomes(id, "running");
      expect(await mooring.job(id, sum)).toBe(before);
    }
    await mooring.ended(id);
  });
});
