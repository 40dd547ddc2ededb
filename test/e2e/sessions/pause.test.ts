/** Pause, resume and rebuild with the whole stack: workerd, the local host, real processes, real files. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Api } from "../../../scripts/stack/api.ts";
import type { SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { describeTree, makeTree } from "../../support/file-tree.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let api: Api;
beforeAll(async () => {
  world = await temporaryStack();
  api = new Api(world.stack.url, await world.stack.apiKey("e2e"), new AbortController().signal);
});
afterAll(() => world.stop());

const becomes = (id: string, status: SessionView["status"]): Promise<SessionView> =>
  until(`session ${id} is ${status}`, async () => {
    const view = await api.session(id);
    return view.status === status ? view : null;
  });

async function running(): Promise<SessionView> {
  const { id } = await api.create({ idle_timeout_seconds: 600, timeout_seconds: 1_200 });
  return becomes(id, "running");
}

async function output(id: string, command: string): Promise<string> {
  const job = await api.run(id, { command });
  const ended = await until(`job ${job.id} ends`, async () => {
    const view = await api.job(id, job.id);
    return view.ended_at === null ? null : view;
  });
  return ended.output_tail ?? "";
}

const hostState = (): string => join(world.order.stateDirectory, "host");
const workspaceOf = ({ id, generation }: SessionView): string =>
  join(hostState(), "sandboxes", `${id}-g${generation}`, "workspace");
const savedOf = (id: string): readonly string[] => {
  const folder = join(hostState(), "snapshots", id);
  return existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".tar")) : [];
};
const processesOf = async (id: string): Promise<number> =>
  (await world.stack.residue()).filter((each) => each.session_id === id).length;

it(
  "ten rounds of pause and resume keep a thousand files of mixed sizes, odd names, links and modes [DEL-11]",
  { timeout: 900_000 },
  async () => {
    let view = await running();
    makeTree(workspaceOf(view), new SeededRandom(4), 1_000);
    const before = describeTree(workspaceOf(view));
    const generations = new Set([view.generation]);
    for (let round = 1; round <= 10; round += 1) {
      await api.pause(view.id);
      await becomes(view.id, "paused");
      expect(await processesOf(view.id)).toBe(0);
      expect(savedOf(view.id)).toHaveLength(1);
      await api.resume(view.id);
      view = await becomes(view.id, "running");
      generations.add(view.generation);
      expect(describeTree(workspaceOf(view))).toEqual(before);
    }
    expect(generations.size).toBe(11);
    expect(await output(view.id, "find . -mindepth 1 -maxdepth 1 -printf x | wc -c")).toBe(
      `${readdirSync(workspaceOf(view)).length}\n`,
    );
    await api.delete(view.id);
    await becomes(view.id, "terminated");
    expect(savedOf(view.id)).toEqual([]);
  },
);

it("a pause lets a running job end, and what it wrote last is there after the resume [DEL-12]", async () => {
  const { id } = await running();
  const job = await api.run(id, { command: "sleep 3; echo 'at the last moment' > late.txt" });
  await until("the job runs", async () => (await api.job(id, job.id)).state === "running");
  await api.pause(id);
  await expect(api.run(id, { command: "echo sneaked > in.txt" })).rejects.toThrow(/409 session_paused/);
  await becomes(id, "paused");
  expect(await api.job(id, job.id)).toMatchObject({ state: "succeeded", exit_code: 0 });
  await api.resume(id);
  await becomes(id, "running");
  expect(await output(id, "cat late.txt; ls")).toBe("at the last moment\nlate.txt\n");
  await api.delete(id);
  await becomes(id, "terminated");
});

it("a paused session that is deleted leaves neither a snapshot nor a process [DEL-13]", async () => {
  const { id } = await running();
  await output(id, "echo secret > notes.txt");
  await api.pause(id);
  await becomes(id, "paused");
  expect(savedOf(id)).toHaveLength(1);
  await api.delete(id);
  await becomes(id, "terminated");
  expect([savedOf(id), await processesOf(id)]).toEqual([[], 0]);
});

it("a rebuild moves the files of a live session into a new sandbox [REB-2]", async () => {
  const before = await running();
  await output(before.id, "echo kept > notes.txt; mkfifo pipe; chmod 751 notes.txt");
  await api.rebuild(before.id);
  const after = await until("another generation runs", async () => {
    const view = await api.session(before.id);
    return view.status === "running" && view.generation !== before.generation ? view : null;
  });
  expect(await output(after.id, "cat notes.txt; stat -c '%A %F' notes.txt pipe")).toBe(
    "kept\n-rwxr-x--x regular file\nprw-r--r-- fifo\n",
  );
  await api.delete(after.id);
  await becomes(after.id, "terminated");
});
