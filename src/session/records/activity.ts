/**
 * The session's activity where a job stored it. A job that begins or ends moves the idle clock; its row holds the activity as that
 * write left it, under a number that counts up, and the session's row holds the number that its own record goes with. So the newer
 * of the two is what the session last knew, and neither write needs the other's row.
 */
import { z } from "zod";
import type { Session } from "../../domain/state/session.ts";
import type { Sql } from "../../storage/sql.ts";
import { parseJson } from "./row-codec.ts";

type Activity = Session["activity"];

export type StoredActivity = Activity & { readonly count: number };

const storedActivity = z.object({
  count: z.int(),
  lastAt: z.number(),
  activeJobs: z.int(),
  reportedAt: z.number(),
});

/** The newest that a job's row holds; null: none, or there is no job yet. */
export function newestOfJobs(sql: Sql): StoredActivity | null {
  if (sql.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'").length === 0) return null;
  const row = sql.run(
    "SELECT activity FROM job WHERE json_valid(activity) ORDER BY json_extract(activity, '$.count') DESC LIMIT 1",
  )[0];
  return storedActivity.safeParse(parseJson(row?.["activity"])).data ?? null;
}

/** The newer of two stored activities: the session record's own, written under `count`, or a job row's that was written later. */
export function newerActivity(own: Activity, count: number, ofJobs: StoredActivity | null): Activity {
  if (ofJobs === null || ofJobs.count <= count) return own;
  const { lastAt, activeJobs, reportedAt } = ofJobs;
  return { lastAt, activeJobs, reportedAt };
}
