/** What ends or hangs behind Mooring's back: how long it takes until the loss is seen, and proven, with leases of 20 seconds. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { must } from "../../scripts/containers/run-command.ts";
import { shortLeases } from "./support/leases.ts";
import { describeOnContainers, freezeAgent, killAgent, say, timed } from "./support/real-containers.ts";
import { containerOf, containersOf, RealMooring } from "./support/real-mooring.ts";

describeOnContainers("a loss that nobody announces", () => {
  const mooring = new RealMooring(shortLeases);
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  const losses: Readonly<Record<string, (id: string) => void>> = {
    "a killed container": (id) => void must("docker", ["kill", containerOf(id)]),
    "a frozen container": (id) => void must("docker", ["pause", containerOf(id)]),
    "a killed agent": (id) => mooring.inContainer(id, killAgent),
    "a frozen agent": (id) => mooring.inContainer(id, freezeAgent),
  };

  it(
    "killed or frozen, container or agent: each is seen as lost and proven gone [CON-6]",
    { timeout: 300_000 },
    async () => {
      const ids: string[] = [];
      for (const _ of Object.keys(losses)) ids.push(await mooring.running({ on_loss: "hold" }));
      const seen = await Promise.all(
        Object.entries(losses).map(([what, lose], index) => {
          const id = ids[index] ?? "";
          lose(id);
          return timed(async () => ({ what, id, view: await mooring.becomes(id, "lost") }));
        }),
      );
      for (const { value, ms } of seen) {
        say(`${value.what}: lost and proven gone after ${(ms / 1_000).toFixed(1)} s`);
        expect(containersOf(value.id)).toEqual([]);
        expect(value.view.teardown).toMatchObject({ reason: "lost", verified_absent_at: expect.any(String) as string });
        await mooring.ended(value.id);
      }
    },
  );
});
