/** A secret's whole way through a session: into the sandbox, and into nothing that anybody reads (SEC-3). */
import { describe, expect, it } from "vitest";
import { instantSeals } from "../../../support/instant-seals.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const secret = "hunter2-is-the-canary";

async function everyReply(rig: SessionRig): Promise<string> {
  const { commands } = rig;
  const calls = [
    commands.get(caller),
    commands.events(caller, 0, 1_000, 0),
    commands.jobs(caller, null, 100),
    commands.job(caller, "job", 0),
    commands.teardown(caller),
    commands.usage(caller),
    commands.inspect(),
    commands.resources(caller),
    commands.logs(caller, 10_000),
    commands.timeout(caller, "timeout", 60),
    commands.createJob(caller, { id: "job", command: "echo other", env: { A: `${secret}-other` } }),
    commands.create(rig.id, caller, { env: { TOKEN: `${secret}-other` } }, "0".repeat(64), 0),
    commands.reseal(),
  ];
  return JSON.stringify(await rig.during(10_000, Promise.all(calls)));
}

describe("what was given as env or stdin", () => {
  it("is in no reply, event, report or log of any state, with the key and without it [SEC-3]", async () => {
    const rig = new SessionRig();
    const body = { env: { TOKEN: secret }, labels: { seen: "yes" } };
    await rig.during(5_000, rig.commands.create(rig.id, caller, body, "a".repeat(64), 0));
    await rig.commands.createJob(caller, { id: "job", command: "echo ran", env: { A: secret }, stdin: secret });
    await rig.pass(5_000);
    const seen: string[] = [await everyReply(rig)];
    // It fails in every way that mentions what it was given: a provider that chokes, a key that is gone.
    rig.fault = ({ op }) => (op === "launch" ? { type: "fail_before", effect: "none" } : { type: "none" });
    await rig.during(30_000, rig.commands.rebuild(caller, 0));
    seen.push(await everyReply(rig));
    rig.fault = null;
    rig.seals = instantSeals(["another"]);
    rig.reincarnate();
    await rig.pass(60_000);
    seen.push(await everyReply(rig));
    await rig.during(60_000, rig.commands.delete(caller, "requested"));
    seen.push(await everyReply(rig));
    seen.push(JSON.stringify(rig.indexed), rig.logged.join("\n"));
    const all = seen.join("\n");
    expect(all).toContain("not configured");
    expect(all).toContain("seen");
    expect(all).not.toContain(secret);
    // Only base64, which the seals of this test hide nothing in, holds it: proof that it was there to be leaked.
    expect(all).not.toContain("sealed:");
  });
});
