/** A job that hides from its group, its environment and its parents, on a host that can count with the kernel and on one that cannot. */
import { afterEach, describe, expect, it } from "vitest";
import type { Generation, InstanceId, JobId, SessionId } from "../../../src/domain/state/ids.ts";
import { isolatedSandboxId } from "../../../src/domain/state/ids.ts";
import type { LaunchOrder } from "../../../src/sandbox/agent-sandbox.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { isOrphan, pidsRunning } from "../../support/processes.ts";
import { RunningHost } from "../../support/running-host.ts";
import { systemClock, systemIds, testControlPlane } from "../../support/system-runtime.ts";
import { until } from "../../support/until.ts";
import { Cgroups } from "../../../wrapper/host/processes/cgroups.ts";

const bound = { timeoutMs: 60_000, signal: new AbortController().signal };
let host: RunningHost | null = null;
let hidden = "";
afterEach(async () => {
  for (const pid of pidsRunning(hidden)) process.kill(pid, "SIGKILL");
  await host?.close();
});

async function hideOn(options: readonly string[]) {
  const running = await RunningHost.start({ arguments: options });
  host = running;
  hidden = `sleep ${400_000 + Math.floor(Math.random() * 100_000)}`;
  const clock = systemClock;
  const { url, token } = running;
  const sandbox = localSandbox({
    url,
    token,
    clock,
    ids: systemIds,
    controlPlane: testControlPlane,
    fetch: (...call) => fetch(...call),
  });
  const sessionId = running.session() as SessionId;
  const generation = Date.now() as Generation;
  const order: LaunchOrder = {
    sessionId,
    generation,
    sandboxId: isolatedSandboxId(sessionId, generation),
    instanceId: systemIds.id() as InstanceId,
    secret: systemIds.secret(),
    launchNotAfter: Date.now() + 600_000,
    leaseTtlMs: 600_000,
    jobGraceMs: 300,
    stopGraceMs: 2_000,
    env: {},
  };
  const target = { ...order, host: null };
  expect(await sandbox.launch(order, bound)).toMatchObject({ ok: true });
  const wrapper = sandbox.wrapper({ ...target, secret: order.secret });
  expect(await wrapper.renew({ sequence: 1, sent_at: Date.now(), ttl_ms: 600_000 }, bound)).toMatchObject({ ok: true });
  // Nobody who carries a mark, leads its group or is its parent is left when the host looks next.
  const command = `(env -i setsid sh -c "${hidden} & exit" &) ; sleep 300`;
  await wrapper.startJob({ id: "hides", command, timeout_ms: 600_000 }, bound);
  await until("it hides", () => isOrphan(hidden));
  return {
    running,
    observe: () => sandbox.observe(target, Date.now(), bound),
    stop: () => sandbox.stop(target, 2_000, bound),
    destroy: async () => {
      await sandbox.retire(target, bound);
      return sandbox.destroy(target, bound);
    },
    wrapper,
  };
}

const kernelCounts = Cgroups.open("probe-of-a-test") !== null;

describe("where the kernel counts", () => {
  it.runIf(kernelCounts)(
    "it is seen and ended with its instance, also after a restart of the host [PHY-14]",
    async () => {
      const { running, observe, stop, destroy, wrapper } = await hideOn([]);
      // The job itself ends; what it hid is all that is left of it.
      await wrapper.endJob("hides" as JobId, "cancelled", bound);
      await running.kill("SIGKILL");
      await running.start();
      const seen = await observe();
      expect(seen).toMatchObject({ answer: "present", containment: "cgroup" });
      expect(seen.residue.map(({ pid }) => pid)).toContain(pidsRunning(hidden)[0]);
      expect(await stop()).toMatchObject({ ok: true, value: { remaining: [] } });
      expect(pidsRunning(hidden)).toEqual([]);
      expect(await observe()).toMatchObject({ answer: "absent", containment: "cgroup" });
      expect(await destroy()).toMatchObject({ ok: true });
    },
  );
});

describe("where it does not", () => {
  it("every look says that what hides would not be seen [PHY-14]", async () => {
    const { observe, stop } = await hideOn(["--no-cgroups"]);
    expect(await observe()).toMatchObject({ answer: "present", containment: "marker" });
    expect(await stop()).toMatchObject({ ok: true });
    expect(await observe()).toMatchObject({ containment: "marker" });
  });
});
