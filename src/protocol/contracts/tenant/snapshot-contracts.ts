/** Snapshots of a tenant: taken from a session that runs on, and kept until they are deleted. */
import { z } from "zod";
import { changeProblems, contract } from "../../contract.ts";
import { cursor, pageLimit } from "../../query.ts";
import { plainText } from "../../primitives.ts";
import {
  createSnapshot,
  forkReply,
  forkSession,
  snapshotPage,
  snapshotReference,
  snapshotView,
} from "../../resources/tenant/snapshots.ts";
import { launchProblems } from "../session/session-contracts.ts";

const tenant = { access: "tenant", tag: "Snapshots" } as const;

/** Why no snapshot can be taken of a session now. */
const takingProblems = [
  "unsupported_by_provider",
  "session_gone",
  "session_paused",
  "session_not_running",
  "sandbox_lost",
  "snapshot_failed",
  "conflict",
  ...launchProblems,
] as const;

export const snapshotListQuery = z.strictObject({
  limit: pageLimit,
  cursor: cursor.optional(),
  session_id: plainText(64).optional().describe("Only those taken from this session."),
  name: plainText(64).optional().describe("Only the one of this name, or of this id."),
});

export const snapshotContracts = {
  create: contract({
    ...tenant,
    operation: "createSnapshot",
    method: "POST",
    path: "/v1/sessions/:id/snapshots",
    summary: "Take a snapshot of its files",
    description:
      "The session runs on: everything in its sandbox stands still while its files are saved, and no connection is cut. The snapshot belongs to the tenant and outlives the session. It holds files, not processes and not memory. 202: it is still being saved.",
    body: { schema: createSnapshot, required: false, example: { name: "with-dependencies" } },
    answers: {
      201: { means: "It is saved and was read back whole.", body: snapshotView, headers: ["location"] },
      202: { means: "It is still being saved.", body: snapshotView, headers: ["location"] },
    },
    problems: [...takingProblems, "already_exists", ...changeProblems],
  }),
  list: contract({
    ...tenant,
    operation: "listSnapshots",
    method: "GET",
    path: "/v1/snapshots",
    summary: "List your snapshots",
    description: "Newest first, without those that are deleted for good.",
    query: snapshotListQuery,
    answers: { 200: { means: "One page.", body: snapshotPage } },
  }),
  get: contract({
    ...tenant,
    operation: "getSnapshot",
    method: "GET",
    path: "/v1/snapshots/:snapshot",
    summary: "Read a snapshot",
    description: "By its id or its name. A deleted one can be read by its id for 30 days: `deletion` is the proof.",
    parameters: { snapshot: snapshotReference },
    answers: { 200: { means: "As it stands.", body: snapshotView } },
    problems: ["not_found"],
  }),
  delete: contract({
    ...tenant,
    operation: "deleteSnapshot",
    method: "DELETE",
    path: "/v1/snapshots/:snapshot",
    summary: "Delete a snapshot",
    description:
      "Safe to repeat. The deletion is stored first and tried until the provider was looked at and has nothing of it. Sessions that were made from it keep their files; one that is being started from it right now may fail.",
    parameters: { snapshot: snapshotReference },
    body: "no fields",
    answers: {
      200: { means: "Nothing of it is left; `deletion` has the proof.", body: snapshotView },
      202: { means: "It is being deleted; `deletion` tells how far that is.", body: snapshotView },
    },
    problems: ["not_found"],
  }),
  fork: contract({
    ...tenant,
    operation: "forkSession",
    method: "POST",
    path: "/v1/sessions/:id/fork",
    summary: "Make sessions that begin with its files",
    description:
      "One snapshot is taken, and `count` sessions are made from it with the settings, env and network rules of this one. They share nothing afterwards. The snapshot goes by itself. Each fork succeeds or fails on its own.",
    body: { schema: forkSession, required: false, example: { count: 2 } },
    answers: { 201: { means: "What became of each fork.", body: forkReply } },
    problems: [...takingProblems, "secret_missing", ...changeProblems],
  }),
} as const;
