/** The wrapper alone: how soon it is healthy, what it weighs idle with its guardian, how large its one file is. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { weigh } from "../../../scripts/demo/processes.ts";
import { disposeInstances, removeDirectories, startInstance, wrapperBundle } from "../../support/wrapper-instance.ts";
import { type Measure, median } from "../figure.ts";

const times = 15;

export const wrapper: Measure = {
  name: "wrapper",
  async run(say) {
    const bundle = await wrapperBundle();
    const bare: number[] = [];
    const started: number[] = [];
    const weights: number[] = [];
    try {
      for (let index = 0; index < times; index += 1) {
        bare.push(await bareServer());
        const began = performance.now();
        const instance = await startInstance();
        await instance.renew();
        started.push(performance.now() - began);
        if (index < 3) {
          await pause(2_000);
          weights.push(weigh(instance.guardianPid).resident + weigh(instance.wrapperPid).resident);
        }
        await disposeInstances();
      }
      const details = { times, wrapper_p50_ms: median(started), bare_p50_ms: median(bare), node: process.version };
      const bytes = statSync(bundle).size;
      say(`${median(started).toFixed(0)} ms to healthy, a bare server ${median(bare).toFixed(0)} ms`);
      return [
        {
          id: "wrapper.start",
          what: "wrapper start → healthy under its guardian",
          against: "bare `node -e` HTTP server",
          value: median(started) / median(bare),
          unit: "×",
          bar: { type: "at most", value: 1.8 },
          details,
        },
        {
          id: "wrapper.memory",
          what: "wrapper and guardian, idle",
          against: "—",
          value: median(weights) / 1e6,
          unit: "MB",
          bar: { type: "at most", value: 100 },
          details: { node: process.version },
        },
        {
          id: "wrapper.bundle",
          what: "the wrapper's bundle",
          against: "—",
          value: bytes / 1e3,
          unit: "kB",
          bar: { type: "at most", value: 300 },
          details: {},
        },
      ];
    } finally {
      await disposeInstances();
      removeDirectories();
    }
  },
};

/** ms from spawn to the first answer. */
async function bareServer(): Promise<number> {
  const began = performance.now();
  const child = spawn(
    process.execPath,
    [
      "-e",
      'require("http").createServer((_, r) => r.end("ok")).listen(0, "127.0.0.1", function () { console.log(this.address().port) })',
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [chunk] = (await once(child.stdout, "data")) as [Buffer];
  await (await fetch(`http://127.0.0.1:${chunk.toString().trim()}/`)).text();
  const took = performance.now() - began;
  child.kill("SIGKILL");
  await once(child, "close");
  return took;
}
