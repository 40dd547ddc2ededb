/**
 * How long the session was in each status with each provider. Two small tables, written only when the status
 * changes and in the same transaction as what changed it; the time since is added by whoever reads. So the sum of the
 * figures is the session's age at every instant.
 */
import type { Session } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { Sql, SqlRow } from "../../storage/sql.ts";
import type { UsageFigure } from "../reports/reports.ts";

export interface SessionUsage {
  /** Both inside a transaction of the caller. */
  begin(session: Session): void;
  moved(before: Session, after: Session, now: number): void;
  /** Up to `now`. */
  figures(session: Session, now: number): readonly UsageFigure[];
}

export function sessionUsage(sql: Sql): SessionUsage {
  function begin(session: Session): void {
    write(session, session.createdAt);
  }

  function write(session: Session, since: number): void {
    sql.run(
      "INSERT OR REPLACE INTO usage_now (only, status, provider, since) VALUES (1, ?, ?, ?)",
      ...[statusOf(session), session.provider, since],
    );
  }

  /** A session from before these tables has been what it is since it was made, as far as anyone can tell. */
  function current(session: Session): { readonly figure: Omit<UsageFigure, "ms">; readonly since: number } {
    const row = sql.run("SELECT status, provider, since FROM usage_now")[0];
    if (row === undefined)
      return { figure: { status: statusOf(session), provider: session.provider }, since: session.createdAt };
    return { figure: spanOf(row), since: Number(row["since"]) };
  }

  function spanOf(row: SqlRow): Omit<UsageFigure, "ms"> {
    return { status: row["status"] as UsageFigure["status"], provider: row["provider"] as ProviderName };
  }

  return {
    begin,
    moved(before, after, now) {
      if (statusOf(before) === statusOf(after) && before.provider === after.provider) return;
      const { figure, since } = current(before);
      // A clock that went back gives no time back: what is counted stands, and counting goes on from there.
      const at = Math.max(now, since);
      sql.run(
        `INSERT INTO usage (status, provider, ms) VALUES (?, ?, ?)
         ON CONFLICT (status, provider) DO UPDATE SET ms = ms + excluded.ms`,
        ...[figure.status, figure.provider, at - since],
      );
      write(after, at);
    },
    figures(session, now) {
      const past = sql
        .run("SELECT status, provider, ms FROM usage")
        .map((row): UsageFigure => ({ ...spanOf(row), ms: Number(row["ms"]) }));
      const { figure, since } = current(session);
      const running = Math.max(0, now - since);
      const same = past.find((each) => each.status === figure.status && each.provider === figure.provider);
      const others = past.filter((each) => each !== same);
      const all = [...others, { ...figure, ms: (same?.ms ?? 0) + running }];
      return all
        .map(({ status, provider, ms }) => ({ status, provider, ms }))
        .toSorted((a, b) => (a.status < b.status ? -1 : 1));
    },
  };
}
