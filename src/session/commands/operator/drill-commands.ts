/** What a restore drill asks of the session whose saved files it tries: what they are, and what it found. */
import { statusOf } from "../../../domain/rules/status.ts";
import { currentRestoreProof, ownSnapshot } from "../../../domain/rules/saved-files.ts";
import { defaultTemplate } from "../../../domain/state/template.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import type { DrillFinding, RestorePoint, SessionApi } from "../../session-api.ts";
import type { CommandContext } from "../command-context.ts";

export class DrillCommands implements Pick<SessionApi, "restorePoint" | "restoreDrilled"> {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  async restorePoint(): Promise<RestorePoint | null> {
    const { session } = this.#context.state;
    if (session === null || statusOf(session) !== "paused") return null;
    const saved = ownSnapshot(session);
    if (saved === null) return null;
    const { id, tenant, template = defaultTemplate } = session;
    return {
      tenant,
      proof: currentRestoreProof(session),
      snapshot: {
        ...{ id: saved.id, name: null, session_id: id, provider: saved.provider, template },
        status: "ready",
        ...{ size_bytes: saved.bytes ?? null, created_at: rfc3339(saved.takenAt), failure: null, deletion: null },
      },
    };
  }

  async restoreDrilled(snapshotId: string, found: DrillFinding): Promise<{ readonly current: boolean }> {
    const { mode } = this.#context.state;
    if (mode.type === "absent") return { current: false };
    const stored = this.#context.dispatch({ type: "restoreDrilled", snapshotId, found }, "maintenance");
    if (!stored.ok) throw new Error(stored.problem.detail);
    return { current: stored.value.type === "moved" };
  }
}
