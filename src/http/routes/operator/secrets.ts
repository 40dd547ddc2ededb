/**
 * Rotating ENV_ENCRYPTION_KEY: a round over every session and tenant that seals anew what an older key sealed. Objects do it
 * by themselves at their next alarm; what sleeps for days (a paused session, an ended one) is reached by this, so that
 * the old key can be removed. Page by page, because a Worker may make only so many calls.
 */
import { inLanes } from "../../../calls/in-lanes.ts";
import { z } from "zod";
import type { SessionId, TenantId } from "../../../domain/state/ids.ts";
import { secretContracts } from "../../../protocol/contracts/operator/secret-contracts.ts";
import { sessionIdPattern, tenantName } from "../../../protocol/primitives.ts";
import { type ResealView } from "../../../protocol/resources/operator/secrets.ts";
import type { Reply } from "../../../protocol/problem.ts";
import type { SealCount } from "../../../session/session-api.ts";
import { acted, askControl } from "../../admin-act.ts";
import { ask } from "../../backend.ts";
import { answered } from "../../answer/problem.ts";
import type { AdminContext, Route } from "../../route.ts";
import { type BodyOf, type Made, serveBody } from "../../serve.ts";
import { badCursor } from "../../request/cursor.ts";

/** One page: far below the calls that one request may make. */
const sessionsAtOnce = 60;
const shownAtMost = 100;
/** A Worker may have six connections open. */
const lanes = 6;

/** Where the next page begins: after this session of this tenant; an empty session is the tenant's beginning. */
interface ResealPosition {
  readonly tenant: TenantId;
  readonly session: SessionId | null;
}

const cursorText = z
  .string()
  .regex(/^[^/]*\/[a-z0-9]*$/)
  .transform((text) => text.split("/") as [string, string])
  .refine(
    ([tenant, session]) => tenantName.safeParse(tenant).success && (session === "" || sessionIdPattern.test(session)),
  );

async function reseal(context: AdminContext, body: BodyOf<typeof secretContracts.reseal>): Promise<Made> {
  const { cursor } = body;
  const read = cursor === undefined ? null : cursorText.safeParse(cursor);
  if (read !== null && !read.success) return badCursor("/cursor");
  const [tenant, session] = read?.data ?? [];
  const position =
    tenant === undefined
      ? null
      : { tenant: tenant as TenantId, session: session === "" ? null : (session as SessionId) };
  return await acted(
    context,
    { action: "secrets.reseal", target: cursor ?? "the beginning", reason: "" },
    () => page(context, position),
    ({ renewed, unreadable }) => `renewed ${renewed}, unreadable ${unreadable}`,
  );
}

async function page(context: AdminContext, start: ResealPosition | null): Promise<Reply<ResealView>> {
  const view = { sessions: 0, tenants: 0, current: 0, renewed: 0, unreadable: 0 };
  const left: ResealView["left"] = [];
  let position = start;
  for (;;) {
    if (position === null || position.session === null) {
      // At the beginning of a tenant: the one after, or the very first.
      const after: TenantId | null = position?.tenant ?? null;
      const tenants = await askControl(context, (control) => control.tenants(after, 1));
      if (!tenants.ok) return tenants;
      const [next] = tenants.value;
      if (next === undefined)
        return { ok: true, value: { ...view, left: left.slice(0, shownAtMost), next_cursor: null } };
      view.tenants += 1;
      await resealTenant(context, next.tenant, view, left);
      position = { tenant: next.tenant, session: "0" as SessionId };
    }
    const { tenant, session: after }: ResealPosition = position;
    const known = await ask("read", context.log, async (): Promise<Reply<readonly SessionId[]>> => {
      const rows = await context.backend.tenant(tenant).sessions(after, sessionsAtOnce);
      return { ok: true, value: rows.map((row) => row.sessionId) };
    });
    if (!known.ok) return known;
    await inLanes(known.value, lanes, async (id) => {
      const counted = await ask("write", context.log, () => context.backend.session(id).reseal());
      view.sessions += 1;
      // An object without rows has nothing sealed.
      if (!counted.ok && counted.problem.code === "not_found") return;
      if (!counted.ok) {
        left.push({ name: `session/${id}`, why: counted.problem.detail });
        return;
      }
      add(view, counted.value);
      if (counted.value.unreadable > 0)
        left.push({ name: `session/${id}`, why: "No configured key opens what is stored." });
    });
    const last = known.value.at(-1);
    position =
      last === undefined || known.value.length < sessionsAtOnce ? { tenant, session: null } : { tenant, session: last };
    if (view.sessions >= sessionsAtOnce || view.tenants >= sessionsAtOnce) {
      const next_cursor = `${position.tenant}/${position.session ?? ""}`;
      return { ok: true, value: { ...view, left: left.slice(0, shownAtMost), next_cursor } };
    }
  }
}

async function resealTenant(
  context: AdminContext,
  tenant: TenantId,
  view: Parameters<typeof add>[0],
  left: ResealView["left"],
): Promise<void> {
  const counted = await ask("write", context.log, () => answered(context.backend.tenant(tenant).reseal()));
  if (!counted.ok) {
    left.push({ name: `tenant/${tenant}`, why: counted.problem.detail });
    return;
  }
  add(view, counted.value);
  if (counted.value.unreadable > 0)
    left.push({ name: `tenant/${tenant}`, why: "No configured key opens the secret of a webhook." });
}

function add(view: { current: number; renewed: number; unreadable: number }, count: SealCount): void {
  view.current += count.current;
  view.renewed += count.renewed;
  view.unreadable += count.unreadable;
}

export const secretRoutes: readonly Route[] = [serveBody(secretContracts.reseal, reseal)];
