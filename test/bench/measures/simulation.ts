/**
 * Fault schedules of the seeded simulation per minute, both cores at work, and the leak rate of docs/benchmarks.md in them.
 */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import type { Leaks } from "../../simulation/checks/leak-watch.ts";
import type { Measure } from "../figure.ts";

const schedulesOf = { full: 600, small: 24 } as const;
const per = 10_000;

export const simulation: Measure = {
  name: "simulation",
  async run(say, size) {
    const played = await play(schedulesOf[size]);
    const { schedulesPerMinute, schedules, failed, cpuSeconds, fewestSessions, sessions, leaks } = played;
    say(`${schedules} schedules, ${schedulesPerMinute.toFixed(0)} a minute`);
    const scaled = (ms: number): number => (ms / 1_000 / sessions) * per;
    return [
      {
        id: "simulation.speed",
        what: "fault schedules of the simulation in a minute, of 5 sessions or more each",
        against: "—",
        value: schedulesPerMinute,
        unit: "schedules",
        bar: { type: "at least", value: 2_500 },
        // Speed is measured here; what fails is the simulation's own to tell, and is told beside it.
        details: {
          schedules,
          failed: failed.length,
          fewest_sessions: fewestSessions,
          cpu_ms_each: (cpuSeconds * 1_000) / schedules,
          cores: cpus().length,
        },
      },
      {
        id: "simulation.leaks",
        what: `sandbox-seconds past the limit for ${per.toLocaleString("en")} sessions under seeded faults`,
        against: "limit: lease TTL + stop grace after the last renewal, or after the session's end",
        value: scaled(leaks.runningMs),
        unit: "s",
        bar: { type: "at most", value: 0 },
        details: {
          ...{ sessions, first_seed: played.from, last_seed: played.from + schedules - 1 },
          sandboxes: leaks.sandboxes,
          longest_s: leaks.longestMs / 1_000,
          // Nothing in it runs, and no signal reaches it, until the fault that froze it ends: only the platform could end it.
          frozen_s: scaled(leaks.frozenMs),
        },
      },
    ];
  },
};

interface Played {
  readonly from: number;
  readonly sessions: number;
  readonly leaks: Leaks;
  readonly schedulesPerMinute: number;
  readonly schedules: number;
  readonly fewestSessions: number;
  readonly cpuSeconds: number;
  readonly failed: readonly unknown[];
}

function play(seeds: number): Promise<Played> {
  return new Promise((resolve, reject) => {
    const child = spawn("node", [join(repository, "scripts/checks/sim.ts"), "--seeds", String(seeds), "--json"], {
      cwd: repository,
      env: toolEnvironment({}),
      stdio: ["ignore", "pipe", "ignore"],
    });
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
    child.on("close", () => {
      try {
        resolve(JSON.parse(printed) as Played);
      } catch {
        reject(new Error("the simulation ended without figures"));
      }
    });
  });
}
