/** A workspace through the whole stack: HTTP, workerd, the local host, real git and shells. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Api } from "../../../scripts/stack/api.ts";
import type { CreateSession, SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { makeRepository, type GitRepository } from "../../support/git-repository.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";
import { removeDirectories, temporaryDirectory } from "../../support/wrapper-instance.ts";

let world: TemporaryStack;
let api: Api;
let key: string;
let repository: GitRepository;
beforeAll(async () => {
  repository = makeRepository(temporaryDirectory());
  const vars = {
    ...calmVars,
    WORKSPACE_GIT_SCHEMES: "https,file",
    // One test waits for it.
    WORKSPACE_STEP_SECONDS: "30",
  };
  world = await temporaryStack({ vars });
  key = await world.stack.apiKey("e2e");
  api = new Api(world.stack.url, key, new AbortController().signal);
});
afterAll(async () => {
  await world.stop();
  removeDirectories();
});

const git = (): NonNullable<CreateSession["workspace"]>["git"] => ({
  url: `file://${repository.directory}`,
  ref: "v1",
});

const becomes = (id: string, status: SessionView["status"], withinMs = 90_000): Promise<SessionView> =>
  until(
    `session ${id} is ${status}`,
    async () => {
      const view = await api.session(id);
      return view.status === status ? view : null;
    },
    withinMs,
  );

async function output(id: string, command: string): Promise<string> {
  const job = await api.run(id, { command });
  const ended = await until(`job ${job.id} ends`, async () => {
    const view = await api.job(id, job.id);
    return view.ended_at === null ? null : view;
  });
  return ended.output_tail ?? "";
}

const residueOf = async (id: string): Promise<number> =>
  (await world.stack.residue()).filter((each) => each.session_id === id).length;

it("a repository is there before the first job, also through a restart of the controller in the middle [API-9] [LEA-7]", async () => {
  const setup = ["echo building; until [ -e go ]; do sleep 0.1; done; cp README built.txt", "cat built.txt"];
  const { id } = await api.create({ idle_timeout_seconds: null, workspace: { git: git(), setup } });
  const preparing = await until("a step runs", async () => {
    const view = await api.session(id);
    return view.workspace?.steps[1]?.state === "running" ? view : null;
  });
  expect(preparing).toMatchObject({ status: "provisioning", workspace: { state: "preparing" } });
  const job = await api.run(id, { command: "cat built.txt" });
  await world.stack.worker?.stop();
  // The step ends while no controller is there.
  const sandbox = join(world.order.stateDirectory, "host", "sandboxes", `${id}-g${preparing.generation}`);
  writeFileSync(join(sandbox, "workspace", "go"), "");
  await world.stack.startWorker();
  const running = await becomes(id, "running");
  expect(running.generation).toBe(preparing.generation);
  expect(running.workspace?.steps.map(({ name, state, exit_code }) => [name, state, exit_code])).toEqual([
    ["clone", "succeeded", 0],
    ["setup 1", "succeeded", 0],
    ["setup 2", "succeeded", 0],
  ]);
  await until("the job that waited is done", async () => (await api.job(id, job.id)).state === "succeeded");
  expect((await api.job(id, job.id)).output_tail).toBe("first\n");
  await output(id, "echo edited > built.txt");
  await api.pause(id);
  await becomes(id, "paused");
  await api.resume(id);
  expect((await becomes(id, "running")).workspace).toMatchObject({ state: "restored" });
  expect(await output(id, "cat built.txt README")).toBe("edited\nfirst\n");
  await api.delete(id);
  await becomes(id, "terminated");
});

it(
  "a step that fails, and one that hangs, end the session as failed with the step, its end and its words",
  { timeout: 600_000 },
  async () => {
    const failing = {
      setup: ['echo "token is $TOKEN"; echo so it goes >&2; exit 7'],
      env: { TOKEN: "very-secret-token" },
    };
    const failed = await api.create({ workspace: { git: git(), ...failing } });
    const ended = await becomes(failed.id, "failed");
    expect(ended.failure).toMatch(/step "setup 1" \(2 of 2\) ended with exit code 7.*so it goes/s);
    expect(ended.workspace?.steps[1]).toMatchObject({
      state: "failed",
      exit_code: 7,
      last_output: "token is [secret]\nso it goes\n",
    });
    expect(ended.teardown?.verified_absent_at).not.toBeNull();

    const hanging = await api.create({ workspace: { setup: ["trap '' TERM; setsid sleep 4323.5 & sleep 4323.5"] } });
    expect((await becomes(hanging.id, "failed", 200_000)).failure).toContain("ran into its time limit");
    expect([await residueOf(failed.id), await residueOf(hanging.id)]).toEqual([0, 0]);
  },
);

it("what cannot be fetched safely is refused before anything is made", async () => {
  const urls = [
    "http://example.com/plain.git",
    "git@example.com:scp/like.git",
    "ext::sh -c id",
    "https://example.com/a b.git",
    "ssh://-oProxyCommand=id/x",
    "ssh://git:hunter2@example.com/x",
    "--upload-pack=id",
  ];
  for (const url of urls) {
    const reply = await fetch(`${world.stack.url}/v1/sessions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ workspace: { git: { url } } }),
    });
    const text = await reply.text();
    expect([url, reply.status]).toEqual([url, 422]);
    expect(text).toContain("/workspace/git/url");
    expect(text).not.toContain("hunter2");
  }
  for (const ref of ["--upload-pack=id", "-b", "a..b", "x.lock", "a b"]) {
    await expect(api.create({ workspace: { git: { url: "https://example.com/x", ref } } })).rejects.toThrow(/422/);
  }
});
