/** Restore drills over the real control and index: what is chosen, what is asked of whom, and what becomes of each outcome. */
import { describe, expect, it } from "vitest";
import type { SessionId } from "../../../../src/domain/state/ids.ts";
import type { RestoreProof } from "../../../../src/domain/state/session.ts";
import {
  certainlyFailing,
  type DrillState,
  noDrills,
  parseDrills,
} from "../../../../src/domain/probes/restore-drills.ts";
import { type DrillPorts, drillTenant, tendDrills } from "../../../../src/fleet/probes/restore-drill.ts";
import { differenceOf, readManifest } from "../../../../src/fleet/probes/tree-manifest.ts";
import type { JobView } from "../../../../src/protocol/resources/session/jobs.ts";
import type { SessionView } from "../../../../src/protocol/resources/session/sessions.ts";
import type { Caller, DrillFinding, RestorePoint } from "../../../../src/session/session-api.ts";
import { acme, FleetRig } from "../../../support/fleet-rig.ts";
import { sessionId } from "../../../support/reports.ts";
import { sampleJob, sampleSession, sampleSnapshot } from "../../../support/sample-views.ts";

const minute = 60_000;
const paused = sessionId("paused");
const manifest = "ab".repeat(32);
const tree = { files: 3, bytes: 42, manifest };

class DrillRig extends FleetRig {
  point: RestorePoint | null = {
    tenant: acme,
    proof: null,
    snapshot: sampleSnapshot({ id: "saved-1", session_id: paused, provider: "memory" }),
  };
  /** What the throwaway is, each time it is asked. */
  throwaway: Partial<SessionView> | null = { status: "running" };
  job: Partial<JobView> = {
    state: "succeeded",
    ended_at: "2026-01-01T00:00:00.000Z",
    output_tail: `3 42 ${manifest}\n`,
  };
  readonly found: DrillFinding[] = [];
  readonly created: { readonly id: SessionId; readonly caller: Caller; readonly from: unknown }[] = [];
  readonly deleted: SessionId[] = [];
  gone = true;
  /** No session answers. */
  silent = false;

  tend(everyMs: number | null = 5 * minute): Promise<void> {
    return this.done(tendDrills(this.drillPorts(), { everyMs, provider: "memory", callMs: 10_000 }));
  }

  /** A drill from its beginning to its end. */
  async drill(): Promise<void> {
    await this.time.run(5 * minute);
    await this.tend();
    await this.tend();
  }

  async state(): Promise<DrillState> {
    const kept = await this.control.document("probe", "restore_drill");
    return kept === null ? noDrills : parseDrills(kept.body);
  }

  drillPorts(): DrillPorts {
    const notFound = { ok: false, problem: { code: "not_found", detail: "no such session" } } as const;
    const view = (id: SessionId) => sampleSession({ id, ...this.throwaway });
    return {
      ...this.ports,
      control: this.control,
      session: (id) => ({
        restorePoint: async () => {
          if (this.silent) throw new Error("the object is overloaded");
          return id === paused ? this.point : null;
        },
        restoreDrilled: async (_snapshot, found) => (this.found.push(found), { current: true }),
        create: async (as, caller, _body, _hash, _wait, from) => {
          this.created.push({ id: as, caller, from });
          return { ok: true, value: { etag: "1", body: view(as), replayed: false } };
        },
        get: async () => (this.throwaway === null ? notFound : { ok: true, value: { etag: "1", body: view(id) } }),
        createJob: async () => ({ ok: true, value: { job: sampleJob(), replayed: false } }),
        job: async () => ({ ok: true, value: sampleJob(this.job) }),
        delete: async () => {
          this.deleted.push(id);
          const terminated_at = this.gone ? "2026-01-01T00:00:00.000Z" : null;
          return { ok: true, value: { session: sampleSession({ id, terminated_at }), done: this.gone, changed: true } };
        },
      }),
    };
  }
}

async function rigWithPaused(): Promise<DrillRig> {
  const rig = new DrillRig();
  await rig.known(paused, { status: "paused", leases: [], provider: "memory" });
  return rig;
}

describe("a restore drill", () => {
  it("restores what a paused session has saved into a session of Mooring's own tenant, and ends that one", async () => {
    const rig = await rigWithPaused();
    await rig.drill();
    expect(rig.created).toMatchObject([
      { caller: { tenant: drillTenant }, from: { id: "saved-1", session_id: paused } },
    ]);
    expect(rig.found).toEqual([tree]);
    // Only the throwaway is ended, never the session whose files were tried.
    expect(rig.deleted).toEqual(rig.created.map(({ id }) => id));
    expect(rig.deleted).not.toContain(paused);
    expect(await rig.state()).toMatchObject({ running: null, proven: 1, failed: 0, failing: [] });
  });

  it("is over only when its throwaway is proven gone, and no other begins before", async () => {
    const rig = await rigWithPaused();
    rig.gone = false;
    await rig.drill();
    await rig.drill();
    expect(rig.created).toHaveLength(1);
    expect((await rig.state()).running).toMatchObject({ verdict: "proven" });
    rig.gone = true;
    await rig.tend();
    expect((await rig.state()).running).toBeNull();
    // What was found is stored once.
    expect(rig.found).toHaveLength(1);
  });

  it("that fails is tried again at once, and only then told: as an event, and to the alert", async () => {
    const rig = await rigWithPaused();
    const words = "Snapshot saved-1 is damaged: it differs from what was saved.";
    rig.throwaway = { status: "failed", terminate_reason: "provision_timeout", started_at: null, failure: words };
    await rig.drill();
    expect(rig.found).toEqual([]);
    expect(certainlyFailing(await rig.state())).toEqual([]);
    await rig.tend();
    await rig.tend();
    expect(rig.found).toEqual([{ failed: words }]);
    expect(certainlyFailing(await rig.state())).toMatchObject([{ sessionId: paused, tries: 2, why: words }]);
    // Mended: it is tried before any other, and is well again.
    rig.throwaway = { status: "running" };
    await rig.drill();
    expect(await rig.state()).toMatchObject({ proven: 1, failed: 2, failing: [] });
  });

  it("forgets a failure when its session has nothing to restore any more, and not when that session is silent", async () => {
    const rig = await rigWithPaused();
    rig.job = { state: "failed", ended_at: "2026-01-01T00:00:00.000Z", exit_code: 1, output_tail: "" };
    await rig.drill();
    expect((await rig.state()).failing).toHaveLength(1);
    rig.silent = true;
    await rig.drill();
    expect((await rig.state()).failing).toHaveLength(1);
    rig.silent = false;
    rig.point = null;
    await rig.drill();
    expect(await rig.state()).toMatchObject({ failing: [], failed: 1, running: null });
  });

  it("compares the tree with the one of the drill before, and says what differs", async () => {
    const rig = await rigWithPaused();
    const proof: RestoreProof = { ...tree, files: 4, at: 1, snapshotId: "saved-1" };
    if (rig.point !== null) rig.point = { ...rig.point, proof };
    await rig.drill();
    expect((await rig.state()).failing[0]?.why).toContain("it had 4 files and now has 3");
    expect(differenceOf(tree, tree)).toBeNull();
    expect(differenceOf(tree, { ...tree, manifest: "cd".repeat(32) })).toContain("contents");
    expect(readManifest("sh: find: not found\n")).toBeNull();
  });

  it.each([
    ["the session was resumed meanwhile", (rig: DrillRig) => void (rig.point = null)],
    [
      "its throwaway was ended by an operator",
      (rig) => void (rig.throwaway = { status: "terminated", terminate_reason: "operator" }),
    ],
    [
      "the provider starts nothing at all",
      (rig) =>
        void (rig.throwaway = {
          terminate_reason: "provision_timeout",
          started_at: null,
          status: "failed",
          failure: "no answer within 60000 ms",
        }),
    ],
    ["its throwaway never came to be", (rig) => void (rig.throwaway = null)],
  ] as readonly (readonly [string, (rig: DrillRig) => void])[])("says nothing when %s", async (_what, change) => {
    const rig = await rigWithPaused();
    await rig.time.run(5 * minute);
    await rig.tend();
    change(rig);
    await rig.tend();
    expect(rig.found).toEqual([]);
    expect(await rig.state()).toMatchObject({ proven: 0, failed: 0, inconclusive: 1, failing: [] });
  });

  it("does not begin while it is off, while Mooring is drained, or when nothing is paused", async () => {
    const rig = await rigWithPaused();
    await rig.tend(null);
    await rig.control.drain({ by: "admin", reason: "maintenance" });
    await rig.tend();
    await rig.control.drain(null);
    rig.point = null;
    await rig.tend();
    expect(rig.created).toEqual([]);
  });
});
