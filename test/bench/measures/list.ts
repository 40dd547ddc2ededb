/** A page of 50 with a filter while the tenant grows from 1,000 to 100,000 sessions, against one bare object read. */
import { Agent } from "node:http";
import { BareWorkerd } from "../bare-workerd.ts";
import { BenchClient } from "../client.ts";
import { type Figure, type Measure, median } from "../figure.ts";
import { timed } from "../http-load.ts";
import { onMemory } from "./roomy.ts";

const sizes = [1_000, 10_000, 100_000] as const;
const million = 1_000_000;
/** Of one call: it holds the object's thread. */
const batch = 2_500;
const times = 150;
const page = "/v1/sessions?limit=50&status=running&label%5Bteam%5D=blue";

export const list = listMeasure("list", sizes);
/** Takes ten times as long as `list`, most of it to fill the index: measured when it is asked for. */
export const listMillion = listMeasure("list", [...sizes, million]);

function listMeasure(name: string, steps: readonly number[]): Measure {
  return { name, run: (say) => growth(say, steps) };
}

async function growth(say: (text: string) => void, steps: readonly number[]): Promise<readonly Figure[]> {
  const workerd = await BareWorkerd.start({ vars: onMemory, counting: false });
  const agent = new Agent({ keepAlive: true });
  try {
    const client = new BenchClient(workerd.url, await workerd.key("acme"));
    const headers = { authorization: client.headers["authorization"] ?? "" };
    const floorUrl = `${workerd.url}/floor/list`;
    // An index that was never asked builds itself from the registries first.
    const empty = await client.call<{ readonly data: readonly unknown[] }>("GET", page);
    await fetch(floorUrl, { method: "PUT", body: JSON.stringify(empty) });
    // One a second, all of them before now.
    const firstAt = Date.now() - 2_000 * (steps.at(-1) ?? 0);
    const ratios: number[] = [];
    const details: Record<string, number> = {};
    let seeded = 0;
    for (const size of steps) {
      for (; seeded < size; seeded = Math.min(size, seeded + batch)) {
        const order = { tenant: "acme", from: seeded, to: Math.min(size, seeded + batch), firstAt };
        const reply = await fetch(`${workerd.url}/bench/seed`, { method: "POST", body: JSON.stringify(order) });
        if (!reply.ok) throw new Error(`seeding was answered ${reply.status}: ${await reply.text()}`);
      }
      const { data } = await client.call<{ readonly data: readonly unknown[] }>("GET", page);
      if (data.length !== 50) throw new Error(`a page of ${data.length} of ${size} sessions`);
      const floors: number[] = [];
      const lists: number[] = [];
      for (let index = 0; index < times; index += 1) {
        floors.push(await timed({ method: "GET", url: floorUrl }, agent));
        lists.push(await timed({ method: "GET", url: `${workerd.url}${page}`, headers }, agent));
      }
      const ratio = median(lists) / median(floors);
      ratios.push(ratio);
      details[`at_${size}`] = ratio;
      say(`${size} sessions: ${median(lists).toFixed(2)} ms a page, ${ratio.toFixed(2)} × a bare read`);
    }
    const [first = Number.NaN] = ratios;
    const grown = (at: number): number => (ratios[steps.indexOf(at)] ?? Number.NaN) / first;
    const figure = (id: string, at: number, words: string, most: number): Figure => ({
      ...{ id, what: `a page of 50 with a filter, from 1k to ${words} sessions`, value: grown(at), unit: "×" },
      against: "itself at 1k, each as a ratio to a bare read",
      ...{ bar: { type: "at most", value: most }, details },
    });
    return [
      figure("list.growth", 100_000, "100k", 1.5),
      ...(steps.includes(million) ? [figure("list.million", million, "1 million", 2)] : []),
    ];
  } finally {
    agent.destroy();
    await workerd.stop();
  }
}
