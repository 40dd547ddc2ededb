/**
 * Acts on many sessions in two steps. The plan is the sessions as they were seen, with a hash over them. Applying the
 * plan reads each session again: one that has changed since is skipped and says why, so that nothing ends that nobody
 * looked at.
 */
import { inLanes } from "../../calls/in-lanes.ts";
import { sha256, toHex } from "../../protocol/bytes.ts";
import { act, problemIn, readTagged } from "./call.ts";
import type { Row } from "./session-list.ts";

export interface PlanItem {
  readonly id: string;
  readonly tenant: string | null;
  readonly status: string;
  /** Why this session is skipped; null: it will be ended. */
  readonly skip: string | null;
}

export interface Plan {
  readonly items: readonly PlanItem[];
  readonly hash: string;
}

export type Outcome =
  | { readonly type: "ending" }
  | { readonly type: "ended"; readonly words: string }
  | { readonly type: "skipped"; readonly words: string }
  | { readonly type: "failed"; readonly words: string };

export async function planEnds(rows: readonly Row[]): Promise<Plan> {
  const items = rows.map(({ id, tenant, status, critical }): PlanItem => {
    const over = status === "terminated" || status === "failed";
    const skip = over ? "it has ended already" : critical ? "it is critical: end it by itself, on its own page" : null;
    return { id, tenant, status, skip };
  });
  const text = items.map(({ id, status, skip }) => `${id} ${status} ${skip === null}`).join("\n");
  const hash = toHex((await sha256(text)).subarray(0, 8));
  return { items, hash };
}

/** This many calls at a time: the browser has few connections, and each end is stored by the session's own object. */
const lanes = 4;

export async function applyEnds(
  plan: Plan,
  /** An operator's reason, for the admin log; null: a tenant ends its own sessions. */
  reason: string | null,
  tell: (id: string, outcome: Outcome) => void,
): Promise<void> {
  const due = plan.items.filter(({ skip }) => skip === null);
  await inLanes(due, lanes, async (item) => {
    tell(item.id, { type: "ending" });
    const outcome = await endOne(item, reason).catch(
      (error: unknown) => ({ type: "failed", words: problemIn(error).detail }) as const,
    );
    tell(item.id, outcome);
  });
}

async function endOne({ id, status }: PlanItem, reason: string | null): Promise<Outcome> {
  const operator = reason !== null;
  const base = operator ? `/v1/admin/sessions/${id}` : `/v1/sessions/${id}`;
  const seen = operator
    ? (await readTagged<"inspectSession">(base)).body.session?.status
    : (await readTagged<"getSession">(base)).body.status;
  if (seen !== status)
    return { type: "skipped", words: `it was ${status} when you looked and is ${seen ?? "unreadable"} now` };
  await act<"endSession">("DELETE", base, operator ? { body: { reason } } : {});
  return { type: "ended", words: "its end is stored, its receipt follows" };
}
