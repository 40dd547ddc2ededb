/** What the idle clock counts from: the end of the last job as the sandbox dated it, whenever and by whom it was heard of. */
import { expect, it } from "vitest";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const second = 1_000;
const minute = 60 * second;

async function endedAfter(rig: SessionRig, ms: number, each: () => Promise<unknown>): Promise<number> {
  const { clock } = rig.rig;
  const until = clock.now() + ms;
  while (clock.now() < until) {
    await rig.pass(second);
    if (rig.commands.state.session?.desired.type === "terminated") return clock.now();
    await each();
  }
  throw new Error("it did not end");
}

it("[BUG-9] idle counts from the end of the last job, not from when the session heard of it", async () => {
  const rig = new SessionRig();
  await rig.running({ idle_timeout_seconds: 60, timeout_seconds: 86_400 });
  await rig.commands.createJob(caller, { id: "job", command: "sleep 1" });
  const ended = await endedAfter(rig, 10 * minute, () => Promise.resolve());
  const job = await rig.job("job");
  expect(ended - Date.parse(job.ended_at ?? "")).toBeLessThanOrEqual(65 * second);
});

it("[BUG-9] [BUG-13] reading a job that has ended is no activity, and an ended session counts no jobs", async () => {
  const rig = new SessionRig();
  await rig.running({ idle_timeout_seconds: 60, timeout_seconds: 86_400 });
  await rig.commands.createJob(caller, { id: "long", command: "sleep 30" });
  await rig.pass(50 * second);
  // Nobody has heard of the end yet but whoever reads now.
  const { ended_at: endedAt } = await rig.job("long");
  const { idle_at: idleAt } = await rig.view();
  expect(Date.parse(idleAt ?? "")).toBe(Date.parse(endedAt ?? "") + minute);
  await endedAfter(rig, 10 * minute, () => rig.commands.job(caller, "long", 0));
  expect(rig.commands.state.session?.activity.activeJobs).toBe(0);
  await rig.pass(minute);
  expect(rig.indexed.at(-1)).toMatchObject({ status: "terminated", activeJobs: 0 });
});
