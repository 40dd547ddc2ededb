/** Reading a session over HTTP, against a bare Hono route and object in the same workerd. Rounds alternate, so both meet the same machine. */
import { BareWorkerd } from "../bare-workerd.ts";
import { BenchClient } from "../client.ts";
import { type Measure, median } from "../figure.ts";
import { load, type Load } from "../http-load.ts";
import { onMemory } from "./roomy.ts";

const rounds = 7;
const roundMs = 2_000;
const connections = 16;

export const read: Measure = {
  name: "read",
  async run(say) {
    const workerd = await BareWorkerd.start({ vars: onMemory, counting: false });
    try {
      const client = new BenchClient(workerd.url, await workerd.key("acme"));
      const session = await client.create();
      const floorUrl = `${workerd.url}/floor/read`;
      // As large an answer as the session's own.
      await fetch(floorUrl, { method: "PUT", body: JSON.stringify(session) });
      const floor = () => load(() => ({ method: "GET", url: floorUrl }), connections, roundMs);
      const get = {
        method: "GET",
        url: `${workerd.url}/v1/sessions/${session.id}`,
        headers: { authorization: client.headers["authorization"] ?? "" },
      } as const;
      const mooring = () => load(() => get, connections, roundMs);
      // Warm code is what production runs.
      await Promise.all([floor(), mooring()]);
      const pairs: { readonly floor: Load; readonly mooring: Load }[] = [];
      for (let round = 0; round < rounds; round += 1) {
        // The order alternates too: whoever is second finds a warmer machine.
        const first = round % 2 === 0 ? await floor() : await mooring();
        const second = round % 2 === 0 ? await mooring() : await floor();
        pairs.push(round % 2 === 0 ? { floor: first, mooring: second } : { floor: second, mooring: first });
        const last = pairs.at(-1);
        say(
          `round ${round + 1} of ${rounds}: ${last?.mooring.perSecond.toFixed(0)}/s, floor ${last?.floor.perSecond.toFixed(0)}/s`,
        );
      }
      const details = {
        rounds,
        connections,
        mooring_per_second: median(pairs.map((pair) => pair.mooring.perSecond)),
        floor_per_second: median(pairs.map((pair) => pair.floor.perSecond)),
        mooring_p99_ms: median(pairs.map((pair) => pair.mooring.p99)),
        floor_p99_ms: median(pairs.map((pair) => pair.floor.p99)),
      };
      return [
        {
          id: "read.throughput",
          what: "GET /v1/sessions/{id}: throughput",
          against: "bare Hono + object read",
          value: median(pairs.map((pair) => pair.mooring.perSecond / pair.floor.perSecond)),
          unit: "×",
          bar: { type: "at least", value: 0.85 },
          details,
        },
        {
          id: "read.p99",
          what: "GET /v1/sessions/{id}: p99",
          against: "bare Hono + object read",
          value: median(pairs.map((pair) => pair.mooring.p99 / pair.floor.p99)),
          unit: "×",
          bar: { type: "at most", value: 2 },
          details,
        },
      ];
    } finally {
      await workerd.stop();
    }
  },
};
