/** Fault schedules of the seeded simulation per minute, both cores at work. */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import type { Measure } from "../figure.ts";

const seeds = 600;

export const simulation: Measure = {
  name: "simulation",
  async run(say) {
    const began = performance.now();
    const failed = await play(seeds);
    const perMinute = seeds / ((performance.now() - began) / 60_000);
    say(`${seeds} schedules, ${perMinute.toFixed(0)} a minute`);
    if (failed !== null) throw new Error(`the simulation ended with ${failed}`);
    return [
      {
        id: "simulation.speed",
        what: "fault schedules of the simulation in a minute",
        against: "—",
        value: perMinute,
        unit: "schedules",
        bar: { type: "at least", value: 1_000 },
        details: { seeds, cores: cpus().length },
      },
    ];
  },
};

function play(count: number): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn("node", [join(repository, "scripts/sim.ts"), "--seeds", String(count)], {
      cwd: repository,
      env: toolEnvironment({}),
      stdio: ["ignore", "ignore", "ignore"],
    });
    child.on("close", (code, signal) => resolve(code === 0 ? null : String(signal ?? code)));
  });
}
