/**
 * E2B's snapshots and forks, carried out by native calls. In E2B's API a snapshot is a template: it is deleted as a
 * template, and a sandbox is created from it as from a template.
 */
import type { E2bSnapshot } from "../../../protocol/compat/e2b.ts";
import { e2bFork, e2bNewSnapshot } from "../../../protocol/compat/e2b.ts";
import {
  e2bContracts,
  e2bSnapshotContracts,
  e2bSnapshotListQuery,
} from "../../../protocol/contracts/compat/e2b-contracts.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import { snapshotName, type SnapshotView } from "../../../protocol/resources/tenant/snapshots.ts";
import { ask } from "../../backend.ts";
import { validate, validationFailed } from "../../request/validation.ts";
import { askSession, json, type Route, type TenantContext } from "../../route.ts";
import { serve } from "../../serve.ts";
import { deleteSnapshot, forksOf, snapshotsPage, takingMs } from "../../routes/tenant/snapshots.ts";
import { readLenient } from "../lenient-body.ts";
import { defaultSeconds, tooLong } from "./new-sandbox.ts";
import { e2bAnswer, errorOf, refuse } from "./refusal.ts";
import { sandboxFor } from "./made-sandbox.ts";
import { defaultTemplate } from "./view.ts";

async function create(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bNewSnapshot);
  if (!body.ok) return refuse(context, body.problem);
  const name = body.value.name ?? null;
  if (name !== null && !snapshotName.safeParse(plainName(name)).success) return refuse(context, badName.problem);
  // As in E2B's API, a second snapshot of the same name replaces the first.
  const wish = { name: name === null ? null : plainName(name), replace: true, purpose: "kept" } as const;
  const reply = await askSession(context, "write", (session) => session.snapshot(context.caller, wish, takingMs));
  if (!reply.ok) return refuse(context, reply.problem);
  if (reply.value.status === "ready") return json(201, shown(context, reply.value));
  return e2bAnswer(
    504,
    "The snapshot was not taken in time. It goes on; the list shows it when it is.",
    "not_ready_in_time",
  );
}

async function list(context: TenantContext): Promise<Response> {
  const { searchParams } = new URL(context.request.url);
  // Clients send empty parameters. They count as not given.
  const given = Object.fromEntries([...searchParams].filter(([, value]) => value !== ""));
  const query = validate(e2bSnapshotListQuery, given, "query");
  if (!query.ok) return refuse(context, query.problem);
  const { limit, name, nextToken, sandboxID } = query.value;
  const page = await snapshotsPage(context, {
    sessionId: sandboxID ?? null,
    name: name === undefined ? null : plainName(name),
    cursor: nextToken ?? null,
    limit,
  });
  if (!page.ok) return refuse(context, page.problem);
  const { data, next } = page.value;
  const ready = data.filter(({ status }) => status === "ready").map((each) => shown(context, each));
  return json(200, ready, next === null ? {} : { "x-next-token": next });
}

/** A tenant has no templates of its own here, so the id can only mean a snapshot. */
async function remove(context: TenantContext): Promise<Response> {
  const found = await snapshotFor(context, context.param("template"));
  if (!found.ok) return refuse(context, found.problem);
  if (found.value === null || found.value.status === "deleting" || found.value.status === "deleted")
    return refuse(context, noSnapshot);
  const reply = await deleteSnapshot(context, found.value.id);
  return reply.ok ? new Response(null, { status: 204 }) : refuse(context, reply.problem);
}

const noSnapshot: Problem = { code: "not_found", detail: "There is no such snapshot; Mooring has no other templates." };
const badName = validationFailed([
  { pointer: "/name", detail: "A name has 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or a digit." },
]) as Extract<Reply<never>, { ok: false }>;

async function fork(context: TenantContext): Promise<Response> {
  const body = await readLenient(context.request, e2bFork);
  if (!body.ok) return refuse(context, body.problem);
  const seconds = body.value.timeout ?? defaultSeconds(context.config.policy);
  if (seconds < 1) return refuse(context, tooShort.problem);
  const long = tooLong("timeout", seconds, context.config.policy);
  if (long?.ok === false) return refuse(context, long.problem);
  const forks = await forksOf(context, body.value.count ?? 1, { timeout_seconds: seconds });
  if (!forks.ok) return refuse(context, forks.problem);
  const results = forks.value.map(async (each) => {
    if (!each.ok) return { error: errorOf(each.problem) };
    const { status, failure } = each.value;
    if (status === "running") return { sandbox: await sandboxFor(context, each.value) };
    // Delete this fork: no client knows its id, so nobody would end it.
    await ask("write", context.log, () =>
      context.backend.session(each.value.id as never).delete(context.caller, "requested"),
    );
    const why = `The fork could not be started: ${failure ?? `it is ${status}`}`;
    return { error: { code: 503, message: why, error_code: "launch_failed" } };
  });
  return json(201, await Promise.all(results));
}

const tooShort = validationFailed([{ pointer: "/timeout", detail: "Must be at least 1 second." }]) as Extract<
  Reply<never>,
  { ok: false }
>;

/** The template of the operator that a client names; null: the operator has none of that name, or it is the default. */
export function operatorsTemplate(
  template: string | undefined,
  listed: Readonly<Record<string, unknown>>,
): string | null {
  if (template === undefined) return null;
  const name = plainName(template);
  return name !== defaultTemplate && Object.hasOwn(listed, name) ? name : null;
}

/**
 * The tenant's snapshot that a client names as a template, or null. An unknown name is only kept as a label, and the
 * sandbox starts from the default.
 */
export async function snapshotFor(
  context: TenantContext,
  template: string | undefined,
): Promise<Reply<SnapshotView | null>> {
  if (template === undefined || template === defaultTemplate) return { ok: true, value: null };
  const reference = plainName(template);
  if (!snapshotName.safeParse(reference).success) return { ok: true, value: null };
  return await ask("read", context.log, async (): Promise<Reply<SnapshotView | null>> => {
    return { ok: true, value: await context.backend.tenant(context.caller.tenant).snapshot(reference) };
  });
}

/** `team/name:tag` and `name:tag` mean `name`: there is one team here, and one tag. */
function plainName(text: string): string {
  return text.replace(/^[^/]*\//, "").replace(/:[^:]*$/, "");
}

function shown(context: TenantContext, { id, name }: SnapshotView): E2bSnapshot {
  return { snapshotID: id, names: name === null ? [] : [`${context.caller.tenant}/${name}:default`] };
}

export const e2bSnapshotRoutes: readonly Route[] = [
  ...e2bContracts.flatMap((contracts): readonly Route[] => [
    serve(contracts.snapshot, create),
    serve(contracts.fork, fork),
  ]),
  serve(e2bSnapshotContracts.list, list),
  serve(e2bSnapshotContracts.delete, remove),
];
