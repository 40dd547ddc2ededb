/** The tools of an API key for files that outlive their session: snapshots, and sessions that begin with one. */
import type { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { Mooring, Snapshot } from "../client/mooring.ts";
import { sessionIdText } from "../protocol/primitives.ts";
import { createSnapshot, forkSession, snapshotReference } from "../protocol/resources/tenant/snapshots.ts";
import { answered, changes, destroys, reads } from "./tool.ts";

const session_id = sessionIdText.describe("The session's id, as create_session or list_sessions gave it.");
const mostListed = 200;

export function snapshotTools(server: McpServer, mooring: Mooring): void {
  server.registerTool(
    "take_snapshot",
    {
      title: "Keep the files of a session",
      description:
        "Saves the files of a session under a name; the session runs on. The snapshot outlives it and takes disk space until delete_snapshot. Begin with it: create_session with `snapshot`. It holds no processes and no memory. When `status` is `taking` it is still being saved: look with list_snapshots. `replace` deletes an older snapshot of that name, which CANNOT BE UNDONE.",
      inputSchema: z.strictObject({ session_id, ...createSnapshot.shape }),
      annotations: { ...changes, destructiveHint: true },
    },
    ({ session_id: id, name, replace }) =>
      answered(() => mooring.session(id).snapshot(name, { replace: replace === true })),
  );

  server.registerTool(
    "list_snapshots",
    {
      title: "List snapshots",
      description: "Your snapshots, newest first, with their sizes. Free; changes nothing.",
      inputSchema: z.strictObject({
        session_id: session_id.optional().describe("Only those taken from this session."),
      }),
      annotations: reads,
    },
    (query) =>
      answered(async () => {
        const snapshots: Snapshot[] = [];
        for await (const each of mooring.snapshots.list(query)) {
          if (snapshots.length === mostListed) return { snapshots, says: `There are more than ${mostListed}.` };
          snapshots.push(each);
        }
        return { snapshots };
      }),
  );

  server.registerTool(
    "fork_session",
    {
      title: "Fork a session",
      description:
        "Makes `count` sessions with the files, limits, env and rules of one, which runs on; they share nothing afterwards. EACH FORK COSTS MONEY until it has ended. Each succeeds or fails on its own: look at `problem`.",
      inputSchema: z.strictObject({ session_id, ...forkSession.shape }),
      annotations: changes,
    },
    ({ session_id: id, ...order }) =>
      answered(async () => {
        const forks = await mooring.session(id).fork(order);
        return {
          forks: forks.map((fork) =>
            "problem" in fork ? { session_id: null, ...fork } : { session_id: fork.id, problem: null },
          ),
        };
      }),
  );

  server.registerTool(
    "delete_snapshot",
    {
      title: "Delete a snapshot and prove it",
      description:
        "CANNOT BE UNDONE: its files are gone. Sessions made from it keep theirs. `deletion.evidence` of the answer is the proof; while it is null the deletion goes on by itself, and the same call looks again. Safe to repeat.",
      inputSchema: z.strictObject({ snapshot: snapshotReference }),
      annotations: { ...destroys, idempotentHint: true },
    },
    ({ snapshot }) => answered(() => mooring.snapshots.delete(snapshot)),
  );
}
