/** Twenty sessions at once on this machine: each runs, however slowly they come up together; ended at once, each is proven gone and nothing is left. */
import { loadavg } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { leftoversOf, removeEnded } from "../../scripts/containers/leftovers.ts";
import { must } from "../../scripts/containers/run-command.ts";
import { until } from "../support/until.ts";
import { describeOnContainers, say, timed } from "./support/real-containers.ts";
import { RealMooring, realWorker, type SessionView } from "./support/real-mooring.ts";

const count = 20;
/** Two cores start them one after another. A bound that only ends a test that has failed. */
const patienceMs = 330_000;
const host = process.env["DOCKER_HOST"] ?? "";

function spread(times: readonly number[]): string {
  const sorted = times.toSorted((one, other) => one - other).map((ms) => `${(ms / 1_000).toFixed(1)} s`);
  return `${sorted[0]} first, ${sorted[Math.floor(sorted.length / 2)]} median, ${sorted.at(-1)} last`;
}

/** Whatever has not exited, sidecars aside: created, running, frozen, being started again, being removed. */
function containersThatMayRun(): readonly string[] {
  const lines = must("docker", ["ps", "-a", "--format", "{{.Names}} {{.State}}"]).split("\n");
  return lines.filter((line) => line.startsWith(`workerd-${realWorker}-`) && !/-proxy | exited$/.test(line));
}

describeOnContainers("twenty sessions at once", () => {
  const mooring = new RealMooring({ TENANT_MAX_SANDBOXES: String(count) });
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  it(
    "all run, and ended at once all are proven gone, with nothing left in the engine [CON-2, CON-6]",
    { timeout: 600_000 },
    async () => {
      const all = Array.from({ length: count });
      const load = loadavg()[0]?.toFixed(1);
      const created = await Promise.all(
        all.map(() =>
          timed(async () => {
            const { id } = await mooring.call<SessionView>("POST", "/v1/sessions", {});
            return mooring.becomes(id, "running", patienceMs);
          }),
        ),
      );
      const ids = created.map(({ value }) => value.id);
      say(`twenty sessions, load ${load}: running ${spread(created.map(({ ms }) => ms))}`);

      const jobs = await Promise.all(ids.map((id) => timed(() => mooring.job(id, "echo here"))));
      expect(jobs.map(({ value }) => value)).toEqual(all.map(() => "here\n"));
      say(`twenty sessions: a job in each ${spread(jobs.map(({ ms }) => ms))}`);

      const ended = await Promise.all(ids.map((id) => timed(() => mooring.ended(id))));
      expect(ended.filter(({ value }) => value.teardown?.verified_absent_at == null)).toEqual([]);
      say(`twenty sessions: proven gone ${spread(ended.map(({ ms }) => ms))}`);

      // Of `docker ps -a`: the engine keeps those that ended by themselves, and the sidecars. Nothing of the platform removes either.
      await until("no container is there that could run", () => containersThatMayRun().length === 0);
      expect(leftoversOf(host, realWorker).containers.length).toBeGreaterThanOrEqual(count);
      removeEnded(host, realWorker, 0);
      expect(leftoversOf(host, realWorker).containers).toEqual([]);
    },
  );
});
