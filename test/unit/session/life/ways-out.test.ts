/** Every state that an operator can find a session stuck in has a way out that docs/operations.md names and that works. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repository } from "../../../../scripts/repository.ts";
import { statusOf } from "../../../../src/domain/rules/status.ts";
import { caller, SessionRig } from "../../../support/session-rig.ts";

const operator = { by: "admin", requestId: "test" };
const hour = 3_600_000;
const page = readFileSync(join(repository, "docs/operations.md"), "utf8");

async function running(): Promise<SessionRig> {
  const rig = new SessionRig();
  await rig.during(2_000, rig.commands.create(rig.id, caller, { idle_timeout_seconds: null }, null, 1_000));
  return rig;
}

/** Nothing of it answers any more, so its stop attempts run out. */
async function parked(): Promise<SessionRig> {
  const rig = await running();
  rig.rig.fault = () => ({ type: "fail_before", effect: "unknown" });
  await rig.commands.delete(caller, "requested");
  await rig.pass(hour);
  expect(rig.commands.state.session?.newest).toMatchObject({ phase: "stopping", step: { type: "parked" } });
  return rig;
}

const resolve = (rig: SessionRig, action: "retry_stop" | "assert_absent" | "abandon") =>
  rig.commands.resolve(operator, { action, reason: "the machine was looked at" }, "*");

describe("the way out of", () => {
  it("a parked teardown whose provider is well again is retry_stop, and ends with a proof [FLT-15] [LEA-20]", async () => {
    const rig = await parked();
    rig.rig.fault = () => ({ type: "none" });
    expect(await resolve(rig, "retry_stop")).toMatchObject({ ok: true });
    await rig.pass(60_000);
    expect(await rig.commands.teardown(caller)).toMatchObject({
      ok: true,
      value: { phase: "closed", asserted_absent_at: null },
    });
    expect(page).toContain("retry_stop");
  });

  it("a parked teardown whose provider is gone for good is assert_absent, never shown as proof [FLT-15] [LEA-20]", async () => {
    const rig = await parked();
    expect(await resolve(rig, "assert_absent")).toMatchObject({ ok: true });
    const session = rig.commands.state.session;
    expect(session === null ? null : statusOf(session)).toBe("terminated");
    expect(await rig.commands.teardown(caller)).toMatchObject({ ok: true, value: { verified_absent_at: null } });
    expect(page).toContain("assert_absent");
  });

  it("a record that cannot be read is abandon: what its columns name is stopped to a proof [FLT-15] [DEL-3]", async () => {
    const rig = await running();
    rig.sql.run("UPDATE session SET record = '{'");
    rig.reincarnate();
    const answer = await resolve(rig, "abandon");
    // The lease may still act: the stop goes on by itself meanwhile.
    expect(answer).toMatchObject({ ok: false, problem: { code: "lease_not_expired" } });
    await rig.pass(120_000);
    expect(rig.rig.world.processes()).toEqual([]);
    expect(page).toContain("abandon");
  });

  it("a lost session is a delete, which ends it at once [FLT-15] [DEL-1]", async () => {
    const rig = await running();
    rig.rig.failNext("renew", { type: "disappear" });
    await rig.pass(10 * 60_000);
    const session = rig.commands.state.session;
    expect(session === null ? null : statusOf(session)).toBe("lost");
    expect(await rig.commands.delete(caller, "operator")).toMatchObject({ ok: true, value: { done: true } });
    expect(page).toContain("lost");
  });
});
