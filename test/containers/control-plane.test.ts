/** The control plane dies with a session running in a real container: what is found again, and what ends by itself. */
import { afterEach, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { shortLeases } from "./support/leases.ts";
import { describeOnContainers, freezeAgent } from "./support/real-containers.ts";
import { containerOf, containersOf, RealMooring } from "./support/real-mooring.ts";

/** TTL, grace, and room for a busy machine: a bound that only ends a test that has failed. */
const overMs = 90_000;

describeOnContainers("a control plane that is killed", () => {
  let mooring: RealMooring;
  afterEach(() => mooring.stop());

  it("finds its containers again when it is back at once [CON-4, CON-6]", { timeout: 300_000 }, async () => {
    mooring = new RealMooring();
    await mooring.start();
    const ids = [await mooring.running(), await mooring.running()];
    const before = ids.map(containerOf);
    await mooring.kill();
    await mooring.start();
    for (const id of ids) await mooring.becomes(id, "running");
    expect(await Promise.all(ids.map((id) => mooring.job(id, "echo here")))).toEqual(["here\n", "here\n"]);
    expect(ids.map(containerOf)).toEqual(before);
    for (const id of ids) expect((await mooring.ended(id)).teardown?.verified_absent_at).not.toBeNull();
  });

  it(
    "leaves nothing running past TTL and grace when it does not come back, a frozen agent included [CON-6]",
    { timeout: 300_000 },
    async () => {
      mooring = new RealMooring(shortLeases);
      await mooring.start();
      const [alive, frozen] = [await mooring.running(), await mooring.running()];
      mooring.inContainer(frozen, freezeAgent);
      await mooring.kill();
      await until("neither runs", () => containersOf(alive).length + containersOf(frozen).length === 0, overMs);
      await mooring.start();
      for (const id of [alive, frozen]) expect((await mooring.ended(id)).teardown?.verified_absent_at).not.toBeNull();
    },
  );
});
