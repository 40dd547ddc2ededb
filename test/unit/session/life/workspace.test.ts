/** Preparing a workspace with the session's real shell over the memory provider: evictions, lost replies, losses, secrets. */
import { describe, expect, it } from "vitest";
import type { Call, Fault } from "../../../memory/fault-plan.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";
import type { CreateSession } from "../../../../src/protocol/resources/session/sessions.ts";

const url = "https://git.example/site.git";
const ask = (setup: string[], more: CreateSession["workspace"] = {}): CreateSession => ({
  workspace: { git: { url }, setup, ...more },
});

function rigged(): SessionRig {
  const rig = new SessionRig();
  const files = new Map([["README", "hello\n"]]);
  rig.rig.world.repositories.set(
    url,
    new Map([
      ["", files],
      ["v1", new Map([["README", "old\n"]])],
    ]),
  );
  return rig;
}

async function events(rig: SessionRig) {
  const read = await rig.commands.events(caller, 0, 1_000, 0);
  if (!read.ok) throw new Error(read.problem.detail);
  return read.value;
}

const typesOf = async (rig: SessionRig) => (await events(rig)).map(({ type }) => type);

async function create(rig: SessionRig, body: CreateSession, ms = 3_000) {
  const created = await rig.during(ms, rig.commands.create(rig.id, caller, body, null, 0));
  if (!created.ok) throw new Error(created.problem.detail);
  return rig.view();
}

async function run(rig: SessionRig, id: string, command: string) {
  const made = await rig.commands.createJob(caller, { id, command });
  if (!made.ok) throw new Error(made.problem.detail);
}

const faultOnce = (op: Call["op"], fault: Fault): ((call: Call) => Fault) => {
  let armed = true;
  return (call) => {
    if (!armed || call.op !== op) return { type: "none" };
    armed = false;
    return fault;
  };
};

describe("a workspace", () => {
  it("is cloned and set up before the first job, which waits its turn [API-9]", async () => {
    const rig = rigged();
    const made = await create(rig, ask(["sleep 20", "write built yes"]), 2_000);
    expect(made).toMatchObject({ status: "provisioning", workspace: { state: "preparing" } });
    expect(made.workspace?.steps.map(({ name, state }) => `${name} ${state}`)).toEqual([
      "clone succeeded",
      "setup 1 running",
      "setup 2 pending",
    ]);
    await run(rig, "j", "cat README; cat built");
    expect((await rig.job("j")).state).toBe("queued");
    await rig.pass(25_000);
    expect(await rig.view()).toMatchObject({ status: "running", workspace: { state: "prepared" } });
    expect(await rig.job("j")).toMatchObject({ state: "succeeded", output_tail: "hello\nyes\n" });
    expect(await typesOf(rig)).toEqual([
      "created",
      "space_measured",
      "launching",
      "preparing",
      "workspace_step_started",
      "workspace_step_ended",
      "workspace_step_started",
      "workspace_step_ended",
      "workspace_step_started",
      "workspace_step_ended",
      "running",
    ]);
  });

  it("of a ref has the files of that ref", async () => {
    const rig = rigged();
    await create(rig, { workspace: { git: { url, ref: "v1" } } });
    await run(rig, "j", "cat README");
    await rig.pass(1_000);
    expect((await rig.job("j")).output_tail).toBe("old\n");
  });

  it.each([
    [
      "an address where nothing is",
      { url: "https://git.example/none.git" },
      /step "clone" \(1 of 2\) ended with exit code 128.*unable to access/s,
    ],
    ["a ref that is not there", { url, ref: "v9" }, /exit code 128.*Remote branch v9 not found/s],
  ])("from %s ends the session as failed, and gives its place back [CAP-6]", async (_, git, words) => {
    const rig = rigged();
    const view = await create(rig, { workspace: { git, setup: ["echo never"] } }, 120_000);
    expect(view).toMatchObject({ status: "failed", terminate_reason: "failed", workspace: { state: "failed" } });
    expect(view.failure).toMatch(words);
    expect(view.workspace?.steps[1]?.state).toBe("pending");
    expect(rig.rig.world.processes()).toEqual([]);
    expect(view.teardown?.verified_absent_at).not.toBeNull();
  });

  it("whose step hangs ends at its limit, with everything that the step started", async () => {
    const rig = rigged();
    await create(rig, ask(["fork; ignore-term; sleep 100000"]), 5_000);
    expect(rig.rig.world.processes().filter(({ kind }) => kind === "job")).toHaveLength(2);
    await rig.pass(rig.policy.prepareStepMs + rig.policy.jobGraceMs + 120_000);
    const view = await rig.view();
    expect(view.failure).toContain('step "setup 1" (2 of 2) ran into its time limit and was ended');
    expect(rig.rig.world.processes()).toEqual([]);
  });

  it("that is refused by the disk says so", async () => {
    const rig = rigged();
    const view = await create(rig, ask(["echo 'write error: No space left on device'; exit 1"]), 60_000);
    expect(view.failure).toContain("The sandbox's disk is full.");
  });

  it("is asked for again after an eviction, and is prepared once", async () => {
    const rig = rigged();
    await create(rig, ask(["sleep 30", "write built yes"]), 2_000);
    for (let crash = 0; crash < 5; crash += 1) {
      rig.reincarnate();
      await rig.pass(4_000);
    }
    await rig.pass(40_000);
    expect(await rig.view()).toMatchObject({ status: "running", workspace: { state: "prepared" } });
    const started = (await typesOf(rig)).filter((type) => type === "workspace_step_started");
    expect(started).toHaveLength(3);
    expect(rig.calls("launch")).toBe(1);
  });

  it("survives questions and answers that are lost", async () => {
    const rig = rigged();
    let count = 0;
    rig.fault = (call) => {
      if (call.op !== "prepare") return { type: "none" };
      count += 1;
      const faults: Fault[] = [
        { type: "lost_reply" },
        { type: "fail_before", effect: "unknown" },
        { type: "hang", deaf: true },
        { type: "duplicate", afterMs: 2_000 },
      ];
      return faults[count - 1] ?? { type: "none" };
    };
    await create(rig, ask(["sleep 10", "write built yes"]), 120_000);
    expect(await rig.view()).toMatchObject({ status: "running" });
    expect((await typesOf(rig)).filter((type) => type === "workspace_step_ended")).toHaveLength(3);
  });

  it("is lost with its sandbox, and prepared again where a loss means a relaunch [API-9]", async () => {
    const rig = rigged();
    await create(rig, { ...ask(["sleep 50", "write built yes"]), on_loss: "relaunch" }, 5_000);
    const first = (await rig.view()).generation;
    rig.fault = faultOnce("renew", { type: "disappear" });
    await rig.pass(240_000);
    const view = await rig.view();
    expect(view).toMatchObject({ status: "running", workspace: { state: "prepared", generation: view.generation } });
    expect(view.generation).not.toBe(first);
    expect((await typesOf(rig)).filter((type) => type === "preparing")).toHaveLength(2);
  });

  it("comes back with a resume by restoring it: its steps are not run again, and the history says so [API-9]", async () => {
    const rig = rigged();
    await create(rig, ask(["write built once"]));
    await run(rig, "edit", "write built edited");
    await rig.pass(2_000);
    await rig.during(30_000, rig.commands.pause(caller));
    expect((await rig.view()).status).toBe("paused");
    await rig.during(10_000, rig.commands.resume(caller, null, 0));
    await run(rig, "look", "cat README; cat built");
    await rig.pass(2_000);
    expect((await rig.job("look")).output_tail).toBe("hello\nedited\n");
    expect(await rig.view()).toMatchObject({ status: "running", workspace: { state: "restored" } });
    expect((await events(rig)).find(({ type }) => type === "workspace_restored")?.facts).toMatchObject({
      steps_skipped: 2,
    });
  });

  it("does not hold up a delete", async () => {
    const rig = rigged();
    await create(rig, ask(["sleep 500"]), 2_000);
    await rig.during(60_000, rig.commands.delete(caller, "requested"));
    expect(await rig.view()).toMatchObject({ status: "terminated", terminate_reason: "requested" });
    expect(rig.rig.world.processes()).toEqual([]);
  });

  it("shows no value of its environment, no credential and no address in what is read or logged [SEC-3]", async () => {
    const rig = rigged();
    const address = "https://robot:hunter2hunter2@git.example/site.git";
    rig.rig.world.repositories.set("https://git.example/site.git", new Map([["", new Map([["README", "x\n"]])]]));
    const body: CreateSession = {
      env: { SESSION_SECRET: "session-secret-value" },
      workspace: {
        git: { url: address },
        setup: ["printenv TOKEN; printenv SESSION_SECRET; echo fine", "printenv TOKEN; exit 3"],
        env: { TOKEN: "workspace-secret-value" },
      },
    };
    const view = await create(rig, body, 60_000);
    expect(view.workspace?.steps[1]?.last_output).toBe("[secret]\n[secret]\nfine\n");
    expect(view.failure).toContain("[secret]");
    const told = JSON.stringify([view, await events(rig), rig.indexed, rig.logged]);
    for (const secret of ["workspace-secret-value", "session-secret-value", "hunter2hunter2", "git.example"]) {
      expect(told).not.toContain(secret);
    }
  });
});

it("a workspace from a scheme that the deployment does not allow is refused, without naming the address [SEC-3]", async () => {
  const rig = rigged();
  const body: CreateSession = { workspace: { git: { url: "file:///srv/secret-place" } } };
  const refused = await rig.during(0, rig.commands.create(rig.id, caller, body, null, 0));
  expect(refused).toMatchObject({ ok: false, problem: { code: "validation_failed" } });
  expect(JSON.stringify(refused)).not.toContain("secret-place");
});
