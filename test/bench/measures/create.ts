/** From the create request to the answer `running`, with the memory provider, against one write in an object as new. */
import { Agent } from "node:http";
import { BareWorkerd } from "../bare-workerd.ts";
import { BenchClient } from "../client.ts";
import { type Measure, median } from "../figure.ts";
import { timed } from "../http-load.ts";
import { onMemory } from "./roomy.ts";

const times = 120;
const warmUp = 20;

export const create: Measure = {
  name: "create",
  async run(say) {
    const workerd = await BareWorkerd.start({ vars: onMemory, counting: false });
    const agent = new Agent({ keepAlive: true });
    try {
      const { headers } = new BenchClient(workerd.url, await workerd.key("acme"));
      const floors: number[] = [];
      const creates: number[] = [];
      for (let index = 0; index < times + warmUp; index += 1) {
        const floor = await timed({ method: "PUT", url: `${workerd.url}/floor/new-${index}`, body: "{}" }, agent);
        const asked = { method: "POST", url: `${workerd.url}/v1/sessions`, body: "{}" } as const;
        const made = await timed({ ...asked, headers: { ...headers, prefer: "wait=30" } }, agent);
        if (index < warmUp) continue;
        floors.push(floor);
        creates.push(made);
      }
      say(`${times} creates: ${median(creates).toFixed(1)} ms, a bare write ${median(floors).toFixed(1)} ms`);
      return [
        {
          id: "create.memory",
          what: "create → running, memory provider",
          against: "one bare write to a new object",
          value: median(creates) / median(floors),
          unit: "×",
          bar: { type: "at most", value: 4 },
          details: { times, mooring_p50_ms: median(creates), floor_p50_ms: median(floors) },
        },
      ];
    } finally {
      agent.destroy();
      await workerd.stop();
    }
  },
};
