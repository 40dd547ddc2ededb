/** A restore drill and the canary's planting with the whole stack: workerd, the cron, the local host, real files. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Api } from "../../../scripts/stack/api.ts";
import { MooringAdmin } from "../../../src/client/mooring.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let api: Api;
let admin: MooringAdmin;
beforeAll(async () => {
  world = await temporaryStack({ vars: { ...calmVars, RESTORE_DRILL_MINUTES: "60", CANARY: "daily" } });
  api = new Api(world.stack.url, await world.stack.apiKey("e2e"), new AbortController().signal);
  admin = new MooringAdmin({ url: world.stack.url, token: world.stack.secrets.ADMIN_TOKEN });
});
afterAll(() => world.stop());

it(
  "a paused session's files are restored elsewhere and read whole; the session shows when, and is as it was",
  { timeout: 900_000 },
  async () => {
    const { id } = await api.create({ idle_timeout_seconds: 600, timeout_seconds: 1_200 });
    await until(`session ${id} runs`, async () => ((await api.session(id)).status === "running" ? true : null));
    const { id: job } = await api.run(id, {
      command: "mkdir -p a/b && echo kept > a/b/c && head -c 100000 /dev/zero > big",
    });
    await until("the files are there", async () => ((await api.job(id, job)).ended_at === null ? null : true));
    await api.pause(id);
    const paused = await until(`session ${id} is paused`, async () => {
      const view = await api.session(id);
      return view.status === "paused" && view.teardown?.phase === "closed" ? view : null;
    });
    expect(paused.last_proven_restorable_at).toBeNull();
    const proven = await until(
      "a drill has proven it",
      async () => {
        await world.stack.fireCron();
        const view = await api.session(id);
        return view.last_proven_restorable_at === null ? null : view;
      },
      300_000,
    );
    expect(proven).toMatchObject({ status: "paused", generation: paused.generation });
    await until("the throwaway is proven gone", async () => {
      await world.stack.fireCron();
      const throwaways = [];
      for await (const each of admin.sessions({ tenant: "mooring-drill" })) throwaways.push(each);
      return throwaways.length === 1 && throwaways[0]?.status === "terminated" && !throwaways[0].ghosts ? true : null;
    });
    const { restore_drill: drills, canary } = await admin.stats();
    expect(drills).toMatchObject({ proven: 1, failed: 0, failing: [] });
    expect(canary).toMatchObject({ missed: false, found_after_seconds: null });
    expect(canary.planted_at).not.toBeNull();
    // What is saved is where it was.
    const saved = join(world.order.stateDirectory, "host", "snapshots", id);
    expect(existsSync(saved) && readdirSync(saved).filter((file) => file.endsWith(".tar"))).toHaveLength(1);
    await api.resume(id);
    await until(`session ${id} runs again`, async () => ((await api.session(id)).status === "running" ? true : null));
    const { id: read } = await api.run(id, { command: "cat a/b/c" });
    const ended = await until("it is read", async () => {
      const view = await api.job(id, read);
      return view.ended_at === null ? null : view;
    });
    expect(ended.output_tail).toBe("kept\n");
  },
);
