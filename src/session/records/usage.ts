/**
 * How long the session was in each status with each provider. A column of the session's row, which changes only when the status
 * does, in the write that changes it; the time since is added by whoever reads. So the sum of the figures is the session's age
 * at every instant.
 */
import type { Session } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { Sql } from "../../storage/sql.ts";
import type { UsageFigure } from "../reports/reports.ts";
import { parseJson } from "./row-codec.ts";

export interface SessionUsage {
  /** The text to store when a session begins. */
  begun(session: Session): string;
  /** The text to store after this move; null: it stays as it is. */
  moved(before: Session, after: Session, now: number): string | null;
  /** Up to `now`. */
  figures(session: Session, now: number): readonly UsageFigure[];
}

type Span = Omit<UsageFigure, "ms"> & { readonly since: number };

interface Stored {
  /** null: of a session from before this was counted. It has been what it is since it was made, as far as anyone can tell. */
  readonly now: Span | null;
  readonly past: readonly UsageFigure[];
}

export function sessionUsage(sql: Sql): SessionUsage {
  function read(session: Session): { readonly now: Span; readonly past: readonly UsageFigure[] } {
    const stored = parseJson(sql.run("SELECT usage FROM session")[0]?.["usage"] ?? null) as Stored | null;
    return { now: stored?.now ?? spanOf(session, session.createdAt), past: stored?.past ?? [] };
  }

  return {
    begun: (session) => text({ now: spanOf(session, session.createdAt), past: [] }),
    moved(before, after, now) {
      if (statusOf(before) === statusOf(after) && before.provider === after.provider) return null;
      const stored = read(before);
      // A clock that went back gives no time back: what is counted stands, and counting goes on from there.
      const at = Math.max(now, stored.now.since);
      return text({ now: spanOf(after, at), past: withSpan(stored.past, stored.now, at) });
    },
    figures(session, now) {
      const stored = read(session);
      const figures = withSpan(stored.past, stored.now, Math.max(now, stored.now.since));
      return figures.toSorted((a, b) => (a.status < b.status ? -1 : 1));
    },
  };
}

function spanOf(session: Session, since: number): Span {
  return { status: statusOf(session), provider: session.provider, since };
}

function withSpan(
  past: readonly UsageFigure[],
  { status, provider, since }: Span,
  until: number,
): readonly UsageFigure[] {
  const isSame = (each: UsageFigure): boolean => each.status === status && each.provider === provider;
  const before = past.find(isSame)?.ms ?? 0;
  return [...past.filter((each) => !isSame(each)), { status, provider, ms: before + until - since }];
}

function text(stored: Stored): string {
  return JSON.stringify(stored);
}
