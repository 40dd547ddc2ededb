/** Real sessions with real processes, through HTTP: what the figures of the main job promise, and jobs that misbehave. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Api } from "../../../scripts/stack/api.ts";
import type { JobView } from "../../../src/protocol/resources/session/jobs.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let api: Api;
beforeAll(async () => {
  world = await temporaryStack();
  api = new Api(world.stack.url, await world.stack.apiKey("e2e"), new AbortController().signal);
});
afterAll(() => world.stop());

async function running(): Promise<string> {
  const { id } = await api.create({ idle_timeout_seconds: 300 });
  await until(`session ${id} runs`, async () => (await api.session(id)).status === "running", 120_000);
  return id;
}

const ended = (id: string, job: string): Promise<JobView> =>
  until(`job ${job} ends`, async () => {
    const view = await api.job(id, job);
    return view.ended_at === null ? null : view;
  });

async function gone(id: string): Promise<void> {
  await api.delete(id);
  await until(`session ${id} is terminated`, async () => (await api.session(id)).status === "terminated");
  const receipt = await api.receipt(id);
  expect(receipt).toMatchObject({ phase: "closed", parked: false, asserted_absent_at: null });
  expect(receipt.verified_absent_at).not.toBeNull();
  expect(receipt.evidence).not.toBeNull();
  // Two looks at least a second apart, both begun after the last effect.
  expect(receipt.observations.filter((each) => each.answer === "absent").length).toBeGreaterThanOrEqual(2);
}

it("twenty sessions created at once all run; deleted at once, each has a receipt, and the host lists no process [DEL-7]", async () => {
  const ids = await Promise.all(Array.from({ length: 20 }, () => running()));
  const live = await world.stack.residue();
  expect(new Set(live.map((each) => each.session_id))).toEqual(new Set(ids));
  await Promise.all(ids.map((id) => gone(id)));
  expect(await world.stack.residue(new Set(ids))).toEqual([]);
});

it("a job that ignores SIGTERM and forks into a session of its own is ended whole and reported [PHY-5] [PHY-6]", async () => {
  const id = await running();
  const stubborn =
    "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & echo up; while :; do sleep 1; done";
  const job = await api.run(id, { command: stubborn, timeout_seconds: 15 });
  const view = await ended(id, job.id);
  expect(view).toMatchObject({ state: "timed_out", output_tail: "up\n" });
  // The session lives on, with its guardian and wrapper alone.
  expect((await api.session(id)).status).toBe("running");
  const kinds = async () =>
    (await world.stack.residue())
      .filter((each) => each.session_id === id)
      .map((each) => each.kind)
      .sort();
  await until("only guardian and wrapper are left", async () => (await kinds()).join() === "guardian,wrapper");
  await gone(id);
});

it("a job that writes 100 MB stalls nothing, and its output is counted to the byte [FEN-9]", async () => {
  const id = await running();
  const flood = await api.run(id, { command: "head -c 100000000 /dev/zero | tr '\\0' 'x'", timeout_seconds: 600 });
  const small = await api.run(id, { command: "echo still here" });
  expect(await ended(id, small.id)).toMatchObject({ state: "succeeded", output_tail: "still here\n" });
  const view = await ended(id, flood.id);
  expect(view).toMatchObject({ state: "succeeded", exit_code: 0, output_bytes: 100_000_000 });
  expect(view.output_tail?.length).toBe(65_536);
  await gone(id);
});
