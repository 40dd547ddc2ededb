/** The control plane dies with a session running in a real container: what is found again, and what ends by itself. */
import { afterEach, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { shortLeases } from "./support/leases.ts";
import { describeOnContainers, freezeAgent, say, timed } from "./support/real-containers.ts";
import { containerOf, containersOf, RealMooring } from "./support/real-mooring.ts";

/** TTL, grace, and room for a busy machine: a bound that only ends a test that has failed. */
const overMs = 90_000;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

describeOnContainers("a control plane that is killed", () => {
  let mooring: RealMooring;
  afterEach(() => mooring.stop());

  it("finds its containers again when it is back at once [CON-4, CON-6]", { timeout: 300_000 }, async () => {
    mooring = new RealMooring();
    await mooring.start();
    const ids = [await mooring.running(), await mooring.running(), await mooring.running()];
    const before = ids.map(containerOf);
    await mooring.kill();
    const started = await timed(() => mooring.start());
    const found = await timed(async () => {
      for (const id of ids) await mooring.becomes(id, "running");
      return Promise.all(ids.map((id) => mooring.job(id, "echo here")));
    });
    expect(found.value).toEqual(["here\n", "here\n", "here\n"]);
    expect(ids.map(containerOf)).toEqual(before);
    for (const id of ids) expect((await mooring.ended(id)).teardown?.verified_absent_at).not.toBeNull();
    say(
      `wrangler killed with three sessions: back in ${seconds(started.ms)}, a job in each ${seconds(found.ms)} later`,
    );
  });

  it(
    "leaves nothing running past TTL and grace when it does not come back, a frozen agent included [CON-6]",
    { timeout: 300_000 },
    async () => {
      mooring = new RealMooring(shortLeases);
      await mooring.start();
      const ids = [await mooring.running(), await mooring.running(), await mooring.running()];
      mooring.inContainer(ids[0] ?? "", freezeAgent);
      await mooring.kill();
      const gone = await timed(() => until("none runs", () => ids.flatMap(containersOf).length === 0, overMs));
      await mooring.start();
      const told = await timed(() => Promise.all(ids.map((id) => mooring.ended(id))));
      for (const { teardown } of told.value) expect(teardown?.verified_absent_at).not.toBeNull();
      say(
        `wrangler killed for longer than the TTL of 20 s: nothing of three sessions runs after ${seconds(gone.ms)}; when it is back, all are proven gone in ${seconds(told.ms)}`,
      );
    },
  );
});
