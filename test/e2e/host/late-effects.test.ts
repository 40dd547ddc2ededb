/** A stop that strikes late, and a delete that nobody waits for: real processes, told by /proc. The lease is long, so that no fence does the work. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Api } from "../../../scripts/stack/api.ts";
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import { pidsWith } from "../../support/processes.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let api: Api;
beforeAll(async () => {
  // A stop is given up after 5 s.
  const vars = { ...calmVars, OBSERVE_TIMEOUT_SECONDS: "2", STOP_ATTEMPT_SECONDS: "15" };
  world = await temporaryStack({ faults: true, vars });
  api = new Api(world.stack.url, await world.stack.apiKey("e2e"), new AbortController().signal);
});
afterAll(() => world.stop());

async function order(fault: HostFault): Promise<void> {
  const { hostUrl, secrets } = world.stack;
  const reply = await fetch(`${hostUrl}/faults`, {
    method: "POST",
    headers: { authorization: `Bearer ${secrets.LOCAL_HOST_TOKEN}` },
    body: JSON.stringify(fault),
  });
  expect(reply.status).toBe(200);
}

/** When the delayed stop is carried out. */
const lateMs = 30_000;

const marked = (id: string): readonly number[] => pidsWith(`MOORING_SESSION_ID=${id}`);

it("a stop of the sandbox before, carried out only now, leaves the sandbox after it alone [LEA-9] [FEN-11]", async () => {
  const { id } = await api.create({ idle_timeout_seconds: null, on_loss: "relaunch" });
  const first = await until("it runs", async () => {
    const view = await api.session(id);
    return view.status === "running" ? view : null;
  });
  // Given up after 5 s, carried out much later: by then the next generation runs, on a slow machine too.
  await order({ op: "stop", mode: "delay", count: 1, delay_ms: lateMs });
  const struckAt = performance.now();
  const wrapper = (await world.stack.residue()).find((each) => each.session_id === id && each.kind === "wrapper");
  process.kill(wrapper?.pid ?? 0, "SIGKILL");
  const second = await until("it is replaced", async () => {
    const view = await api.session(id);
    return view.status === "running" && view.generation !== first.generation ? view : null;
  });
  const pids = marked(id);
  expect(pids.length).toBeGreaterThanOrEqual(2);
  await until(
    "the late stop has been carried out",
    () => performance.now() - struckAt > lateMs + 8_000,
    lateMs + 20_000,
  );
  expect(marked(id)).toEqual(pids);
  const job = await api.run(id, { command: "echo still here" });
  await until("its job is done", async () => (await api.job(id, job.id)).state === "succeeded");
  expect(await api.session(id)).toMatchObject({ status: "running", generation: second.generation });
  const events = new Set<string>();
  for await (const event of api.events(id)) {
    events.add(event.type);
    if (event.type === "sandbox_replaced") break;
  }
  expect([...events]).toContain("sandbox_lost");
});

it("a delete whose Worker was killed is finished by the alarm alone, once nothing is left [DEL-2] [LEA-7]", async () => {
  const { id } = await api.create({ idle_timeout_seconds: null });
  await until("it runs", async () => (await api.session(id)).status === "running");
  await api.run(id, { command: "trap '' TERM; while :; do sleep 1; done" });
  await until("its job runs", () => marked(id).length > 2);
  expect((await api.delete(id)).status).toBe("terminating");
  await world.stack.worker?.kill();
  expect(marked(id).length).toBeGreaterThan(0);
  await world.stack.startWorker();
  // Nobody asks for the session meanwhile.
  await until("nothing of it is left", () => marked(id).length === 0);
  const ended = await until("it is terminated", async () => {
    const view = await api.session(id);
    return view.status === "terminated" ? view : null;
  });
  const verifiedAt = Date.parse(ended.teardown?.verified_absent_at ?? "");
  expect(Date.parse(ended.terminated_at ?? "")).toBeGreaterThanOrEqual(verifiedAt);
});
