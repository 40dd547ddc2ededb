/** Output streams of a session: what is remembered of each ends with it, whoever ends it. */
import { expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";

/** How many entries keyed by a controller of ours are left in maps, over what `body` does. */
async function leftOpen(body: () => Promise<void>): Promise<{ readonly opened: number; readonly left: number }> {
  // Called with `this` below, and put back afterwards.
  // oxlint-disable-next-line typescript/unbound-method
  const { set, delete: remove } = Map.prototype;
  let opened = 0;
  let closed = 0;
  Map.prototype.set = function (this: Map<unknown, unknown>, key: unknown, value: unknown) {
    if (key instanceof AbortController) opened += 1;
    return set.call(this, key, value) as Map<unknown, unknown>;
  };
  Map.prototype.delete = function (this: Map<unknown, unknown>, key: unknown) {
    const had = remove.call(this, key);
    if (had && key instanceof AbortController) closed += 1;
    return had;
  };
  try {
    await body();
  } finally {
    Object.assign(Map.prototype, { set, delete: remove });
  }
  return { opened, left: opened - closed };
}

it("[BUG-12] a client that leaves takes its stream with it", async () => {
  const rig = new SessionRig();
  await rig.running({ idle_timeout_seconds: null });
  await rig.commands.createJob(caller, { id: "job", command: "sleep 6000" });
  await rig.pass(2_000);
  const streams = await leftOpen(async () => {
    for (let count = 0; count < 20; count += 1) {
      const output = await rig.during(0, rig.commands.jobOutput(caller, "job", 0));
      if (!output.ok) throw new Error(output.problem.detail);
      await output.value.body.cancel();
    }
  });
  expect(streams).toEqual({ opened: 20, left: 0 });
});
