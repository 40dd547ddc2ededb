/** `npm run dev` stopped and started again: the same state directory, the same sessions, the same processes. */
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { spawnSync } from "node:child_process";
import { afterAll, expect, it } from "vitest";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import { Api } from "../../../scripts/stack/api.ts";
import { Stack } from "../../../scripts/stack/stack.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack | null = null;
let second: Stack | null = null;
afterAll(async () => {
  await second?.stop();
  await world?.stop();
});

it("a second start finds the session, its processes and its job of the first", async () => {
  // A lease that outlives the restart: a start has three minutes on a busy machine.
  world = await temporaryStack({ endSandboxes: false, vars: { ...calmVars, LEASE_TTL_SECONDS: "900" } });
  const signal = new AbortController().signal;
  const key = await world.stack.apiKey("e2e");
  const first = new Api(world.stack.url, key, signal);
  const { id } = await first.create({ idle_timeout_seconds: 900 });
  await until("the session runs", async () => (await first.session(id)).status === "running");
  const job = await first.run(id, {
    command: "while [ ! -e go ]; do sleep 0.1; done; echo found it",
    timeout_seconds: 900,
  });
  await until("the job runs", async () => (await first.job(id, job.id)).state === "running");
  const before = (await world.stack.residue()).map((each) => each.pid);
  await world.stack.stop();

  second = await Stack.start({ ...world.order, endSandboxes: true });
  const again = new Api(second.url, key, signal);
  expect((await second.residue()).filter((each) => each.kind !== "job").map((each) => each.pid)).toSatisfy(
    (pids: number[]) => pids.length === 2 && pids.every((pid) => before.includes(pid)),
  );
  expect(await again.session(id)).toMatchObject({ id, status: "running", generation: expect.any(Number) });
  const touch = await again.run(id, { command: "touch go" });
  await until("the new job is done", async () => (await again.job(id, touch.id)).state === "succeeded");
  const done = await until("the old job is done", async () => {
    const view = await again.job(id, job.id);
    return view.ended_at === null ? null : view;
  });
  expect(done).toMatchObject({ state: "succeeded", output_tail: "found it\n" });
  await again.delete(id);
  await until("the session is gone", async () => (await again.session(id)).status === "terminated");
  expect(await second.residue(new Set([id]))).toEqual([]);
});

it("npm run dev on a port that is taken says so in one line and exits 1", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const run = spawnSync("node", ["scripts/stack/dev.ts", "--port", String(port)], {
    cwd: repository,
    env: toolEnvironment({ NO_COLOR: "1" }),
    encoding: "utf8",
    timeout: 120_000,
  });
  server.close();
  expect(run.status).toBe(1);
  expect(run.stderr.trim()).toBe(
    `Port ${port} on 127.0.0.1 is taken: stop what listens there, or choose another with --port.`,
  );
});
