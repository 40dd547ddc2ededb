/** A hundred creates at once: of one tenant, whose registry grants them one after the other, and of a hundred tenants. */
import { BareWorkerd } from "../bare-workerd.ts";
import { BenchClient } from "../client.ts";
import { type Measure, median } from "../figure.ts";
import { onMemory } from "./roomy.ts";

const crowd = 100;
const rounds = 3;

export const creates: Measure = {
  name: "creates",
  async run(say) {
    const workerd = await BareWorkerd.start({ vars: onMemory, counting: false });
    try {
      const client = async (tenant: string): Promise<BenchClient> =>
        new BenchClient(workerd.url, await workerd.key(tenant));
      const one = await client("one");
      const all = await Promise.all(Array.from({ length: crowd }, (_, index) => client(`many-${index}`)));
      const clients = { one: all.map(() => one), many: all };
      // Each tenant's tables are made by its first create.
      await Promise.all([one, ...all].map((each) => each.create()));
      const taken = { one: [] as number[], many: [] as number[] };
      for (let round = 0; round < rounds; round += 1) {
        for (const whose of ["one", "many"] as const) {
          const began = performance.now();
          await Promise.all(clients[whose].map((each) => each.create()));
          taken[whose].push(performance.now() - began);
        }
        say(
          `${crowd} at once: ${taken.one.at(-1)?.toFixed(0)} ms for one tenant, ${taken.many.at(-1)?.toFixed(0)} ms for ${crowd}`,
        );
      }
      return [
        {
          id: "creates.tenants",
          what: `${crowd} creates at once for ${crowd} tenants`,
          against: "the same for one tenant",
          value: median(taken.many) / median(taken.one),
          unit: "×",
          bar: { type: "at most", value: 0.5 },
          details: { rounds, one_ms: median(taken.one), many_ms: median(taken.many) },
        },
      ];
    } finally {
      await workerd.stop();
    }
  },
};
