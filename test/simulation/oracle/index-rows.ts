/** The index against the sessions once everything was told: each session stands there as it is, and what is erased is not listed. */
import { seenStatus, type SeenSession } from "./model.ts";
import { keptAmounts, type Rows } from "./stored.ts";

interface IndexRow {
  readonly status: string;
  readonly version: number;
  readonly endAt: number;
  readonly generation: number | null;
  readonly phase: string;
  readonly ghosts: number;
  readonly terminateReason: string | null;
  readonly erased: boolean;
}

export function readIndex(rows: Rows): ReadonlyMap<string, IndexRow> {
  if (!rows.hasTables) return new Map();
  const read = rows.run(
    "SELECT session_id, status, version, end_at, generation, phase, ghosts, terminate_reason, erased_at FROM session",
  );
  return new Map(
    read.map((row) => [
      String(row["session_id"]),
      {
        status: String(row["status"]),
        version: Number(row["version"]),
        endAt: Number(row["end_at"]),
        generation: row["generation"] as number | null,
        phase: String(row["phase"]),
        ghosts: Number(row["ghosts"]),
        terminateReason: row["terminate_reason"] as string | null,
        erased: row["erased_at"] !== null,
      },
    ]),
  );
}

/** One session whose newest version was confirmed. */
export function indexFaults(
  index: ReadonlyMap<string, IndexRow>,
  session: SeenSession,
  version: number,
): readonly string[] {
  const row = index.get(session.id);
  if (row === undefined || row.erased) return [`FLT-1: ${session.id} is not in the index`];
  const found: string[] = [];
  const differs = (what: string, is: unknown, should: unknown) => {
    if (is !== should)
      found.push(`FLT-1: the index has ${session.id} with ${what} ${String(is)}, not ${String(should)}`);
  };
  differs("version", row.version, version);
  differs("status", row.status, seenStatus(session));
  differs("end_at", row.endAt, session.endAt);
  differs("ghosts", row.ghosts, session.ghosts.length);
  differs("reason", row.terminateReason, session.desired.type === "terminated" ? session.desired.reason : null);
  if (session.newest !== null) {
    differs("generation", row.generation, session.newest.generation);
    differs("phase", row.phase, session.newest.phase);
  }
  return found;
}

/** The kept counters say what the rows say: lists and alerts are answered from them. */
export function counterFaults(rows: Rows): readonly string[] {
  if (!rows.hasTables) return [];
  const listed = rows.run("SELECT status, stuck_since, blocked FROM session WHERE erased_at IS NULL");
  const should = new Map<string, number>();
  const count = (name: string) => void should.set(name, (should.get(name) ?? 0) + 1);
  for (const { status, stuck_since: stuck, blocked } of listed) {
    count(`status:${String(status)}`);
    if (stuck !== null) count("stuck");
    if (typeof blocked === "string") count(`blocked:${blocked}`);
  }
  const found: string[] = [];
  const kept = keptAmounts(rows, "counters");
  for (const [name, amount] of kept) {
    if (name !== "stuck" && !name.startsWith("status:") && !name.startsWith("blocked:")) continue;
    if (amount !== (should.get(name) ?? 0))
      found.push(`FLT-1: the index counts ${amount} as ${name}, its rows are ${should.get(name) ?? 0}`);
  }
  for (const [name, amount] of should)
    if (!kept.has(name)) found.push(`FLT-1: the index does not count ${name}, its rows are ${amount}`);
  return found;
}
