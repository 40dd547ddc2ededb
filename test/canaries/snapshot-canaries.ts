/** Mistakes about snapshots of a tenant, and about traffic that is under way when something ends. */
import { bySimulation, byTests, canary, type Canary } from "./canary.ts";

const session = byTests("unit/session/snapshots");

export const snapshotCanaries: readonly Canary[] = [
  canary(
    "a snapshot whose sandbox went meanwhile is never heard of again [TRA-15]",
    "domain/machine/transition.ts",
    "settle(copy.interrupted(session, outcome), context, session)",
    "settle(outcome, context, session)",
    session,
  ),
  canary(
    "a session that began with a snapshot of the tenant deletes it [TRA-15]",
    "domain/rules/saved-files.ts",
    "if (snapshot === null || snapshot.source !== undefined) return session;",
    "if (snapshot === null) return session;",
    session,
  ),
  canary(
    "a deletion that nobody could look after counts as proven [TRA-15]",
    "tenant/snapshots/snapshot-keeper.ts",
    'if (!look.ok) return { type: "failed", why: wordsOf("It was removed, and could not be looked for", look) };',
    'if (!look.ok) return { type: "absent", at: 0, evidence: "found no file" };',
    session,
  ),
  canary(
    "what runs goes on while a snapshot is taken [TRA-15]",
    "session/steps/save/copying.ts",
    'const still = await calls.call(observeMs, "freeze", (bound) => wrapper.freeze(snapshotId, forMs, bound));',
    'const still = { ok: true, failure: { code: "" } } as never as { ok: true };',
    session,
  ),
  canary(
    "what stood still for a snapshot is not let go on [TRA-15]",
    "session/steps/save/copying.ts",
    "if (wrapper !== null) await bounded(",
    "if (wrapper === null) await bounded(",
    session,
  ),
  canary(
    "what nobody told of in time is kept [TRA-15]",
    "tenant/snapshots/snapshot-life.ts",
    'due.phase === "taking"\n        ? deleted(',
    'due.phase === "taking" && now < 0\n        ? deleted(',
    session,
  ),
  canary(
    "a snapshot is saved although the registry gave it no place [TRA-15]",
    "tenant/snapshots/snapshot-life.ts",
    "if (count >= terms.maxSnapshots)",
    "if (count > terms.maxSnapshots)",
    session,
  ),
  canary(
    "an audit takes the snapshots of a tenant for nobody's [TRA-15]",
    "fleet/audits/ownerless-files.ts",
    "inventory.forgotten.has(file.name) || inventory.kept.has(file.name)",
    "inventory.forgotten.has(file.name)",
    byTests("unit/fleet/ownerless-files"),
  ),
  {
    name: "a stream that is cut looks as if it had come to its end [TRA-9]",
    edits: [
      {
        file: "test/memory/memory-traffic.ts",
        from: 'stream.error(new Error("the connection was cut"))',
        to: "stream.close()",
      },
    ],
    by: bySimulation(40),
  },
];
