/**
 * A deploy that gives new sessions to another provider. The SDK's provider is over its stand-in, with real processes; the other is
 * the local host, because the platform's container API needs containers: what a session does about it is the same.
 */
import { afterAll, afterEach, expect, it } from "vitest";
import { CloudflareWorld } from "../../contract/cloudflare-harness.ts";
import { LiveSession } from "../../support/live-session.ts";
import { pidsWith } from "../../support/processes.ts";
import { RunningHost } from "../../support/running-host.ts";
import { caller } from "../../support/session-rig.ts";
import { until } from "../../support/until.ts";
import { removeDirectories, wrapperBundle } from "../../support/wrapper-instance.ts";

const waitMs = 120_000;
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(removeDirectories);

it(
  "strands no session of the SDK: each goes on and ends where it is, and new ones go to the other provider [CON-11]",
  { timeout: 5 * waitMs },
  async () => {
    const world = new CloudflareWorld();
    closing.push(() => world.close());
    const host = await RunningHost.start({ arguments: ["--wrapper", await wrapperBundle()] });
    closing.push(() => host.close());
    const others = { "sandbox-sdk": world.provider };
    const session = (first: "sandbox-sdk" | "local") => {
      const live = new LiveSession(host, { leaseTtlMs: 120_000 }, { others, first });
      closing.push(() => live.close());
      return live;
    };
    const settled = (live: LiveSession, status: string) =>
      until(`it is ${status}`, async () => (await live.view()).status === status, waitMs);
    const ran = async (live: LiveSession, job: string, command: string) => {
      await live.run(job, command);
      await until(`the job ${job} ends`, async () => (await live.job(job)).ended_at !== null, waitMs);
      expect(await live.job(job)).toMatchObject({ state: "succeeded" });
    };

    const old = session("sandbox-sdk");
    await old.create({ idle_timeout_seconds: null });
    await settled(old, "running");
    await ran(old, "before", "echo before > file");
    const { generation } = await old.view();

    // The deploy: the same rows, and code whose new sessions go elsewhere.
    old.restart("local");
    await ran(old, "after", "grep before file");
    expect(await old.view()).toMatchObject({ status: "running", provider: "sandbox-sdk", generation });
    const fresh = session("local");
    await fresh.create({ idle_timeout_seconds: null });
    await settled(fresh, "running");
    expect((await fresh.view()).provider).toBe("local");

    for (const live of [old, fresh]) {
      expect(pidsWith(`MOORING_SESSION_ID=${live.id}`).length).toBeGreaterThan(0);
      await live.commands.delete(caller, "requested");
      await settled(live, "terminated");
      expect((await live.view()).teardown?.verified_absent_at).toEqual(expect.any(String));
      expect(pidsWith(`MOORING_SESSION_ID=${live.id}`)).toEqual([]);
    }
    expect((await old.view()).teardown?.evidence).toContain("Provider sandbox-sdk");
    expect((await fresh.view()).teardown?.evidence).toContain("Provider local");
    expect(world.account.containers.filter(({ runs }) => runs)).toEqual([]);
  },
);
