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

  // What is killed is not there at the next renewal. What is frozen can only be judged when its lease has lapsed.
  const losses = [
    {
      what: "a killed container",
      reason: "lost",
      lose: (id: string) => void must("docker", ["kill", containerOf(id)]),
    },
    {
      what: "a frozen container",
      reason: "lapsed",
      lose: (id: string) => void must("docker", ["pause", containerOf(id)]),
    },
    { what: "a killed agent", reason: "lost", lose: (id: string) => mooring.inContainer(id, killAgent) },
    { what: "a frozen agent", reason: "lapsed", lose: (id: string) => mooring.inContainer(id, freezeAgent) },
  ];

  it(
    "killed or frozen, container or agent: each is seen as lost and proven gone [CON-6]",
    { timeout: 300_000 },
    async () => {
      const held: { readonly id: string; readonly loss: (typeof losses)[number] }[] = [];
      for (const loss of losses) held.push({ loss, id: await mooring.running({ on_loss: "hold" }) });
      const seen = await Promise.all(
        held.map(({ loss, id }) => {
          loss.lose(id);
          return timed(() => mooring.becomes(id, "lost"));
        }),
      );
      for (const [index, { id, loss }] of held.entries()) {
        const { value, ms } = seen[index] ?? { value: null, ms: 0 };
        say(`${loss.what}: lost and proven gone after ${(ms / 1_000).toFixed(1)} s`);
        expect(containersOf(id)).toEqual([]);
        expect(value?.teardown?.reason).toBe(loss.reason);
        expect(value?.teardown?.verified_absent_at).not.toBeNull();
      }
      await Promise.all(held.map(({ id }) => mooring.ended(id)));
    },
  );
});
