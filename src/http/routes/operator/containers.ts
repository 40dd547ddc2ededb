/**
 * Shared containers, for operators. They are read from the tenants' registries, not from the index: a page asks as many
 * registries as it takes to fill it, never a session, and what it shows is how they stand now.
 */
import type { ContainerId, TenantId } from "../../../domain/state/ids.ts";
import { nextCalls, say } from "../../../domain/state/next-calls.ts";
import {
  containerIdPattern,
  containerOwnerQuery,
  resolveContainerBody,
} from "../../../protocol/resources/operator/containers.ts";
import { containerContracts } from "../../../protocol/contracts/operator/container-contracts.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { ListedContainer } from "../../../tenant/containers/containers.ts";
import type { ContainerReply } from "../../../tenant/tenant-api.ts";
import { ended } from "../../admin-act.ts";
import { ask } from "../../backend.ts";
import { readJson } from "../../request/body.ts";
import { containerView } from "../../answer/container-view.ts";
import { badCursor, decodeContainerCursor, encodeContainerCursor, pageOf } from "../../request/cursor.ts";
import { askAll } from "../../fan-out.ts";
import { ifMatchOf, readQuery } from "../../request/headers.ts";
import { refused } from "../../answer/problem.ts";
import { type AdminContext, json, type Route, taggedJson } from "../../route.ts";
import { type Made, type QueryOf, serve, serveQuery } from "../../serve.ts";
import { knownTenants } from "../../request/directory.ts";

interface Owned {
  readonly tenant: TenantId;
  readonly listed: ListedContainer;
}

const notFound: Problem = {
  code: "not_found",
  detail: `There is no such shared container. It may have gone long ago and been forgotten. ${say(nextCalls.listContainers)} lists those there are.`,
};

async function list(context: AdminContext, query: QueryOf<typeof containerContracts.list>): Promise<Made> {
  const { limit, cursor, tenant, phase } = query;
  const after = cursor === undefined ? null : decodeContainerCursor(cursor);
  const foreign = after !== null && tenant !== undefined && after.tenant !== tenant;
  if (cursor !== undefined && (after === null || foreign)) return badCursor();
  const wanted = limit + 1;
  const found = await collect(context, tenant, after?.tenant ?? null, wanted, (name) => {
    const position = name === after?.tenant ? after.id : null;
    return context.backend.tenant(name).containers(position, wanted, phase ?? null);
  });
  if (!found.ok) return found;
  const page = pageOf(found.value, limit, (last) =>
    encodeContainerCursor({ tenant: last.tenant, id: last.listed.container.id }),
  );
  return json(200, { ...page, data: page.data.map((each) => containerView(each.tenant, each.listed)) });
}

/** Registries asked before it is seen whether that was enough. */
const registriesAtOnce = 24;

/** What the registries answer, in the order of their tenants from `first` on, until there are `wanted` of them. */
async function collect(
  context: AdminContext,
  tenant: string | undefined,
  first: TenantId | null,
  wanted: number,
  read: (tenant: TenantId) => Promise<readonly ListedContainer[]>,
): Promise<Reply<readonly Owned[]>> {
  const names =
    tenant === undefined ? await knownTenants(context, first) : { ok: true as const, value: [tenant as TenantId] };
  if (!names.ok) return names;
  const found: Owned[] = [];
  for (let asked = 0; asked < names.value.length && found.length < wanted; asked += registriesAtOnce) {
    const some = names.value.slice(asked, asked + registriesAtOnce);
    const pages = await askAll(context, some, (name) => `the registry of ${name}`, read);
    if (!pages.ok) return pages;
    found.push(
      ...some.flatMap((name, index) => (pages.value[index] ?? []).map((listed) => ({ tenant: name, listed }))),
    );
  }
  return { ok: true, value: found };
}

/** Asks the tenant that the query names, or else every tenant until one has it. */
async function find(context: AdminContext): Promise<Reply<Owned>> {
  const query = readQuery(context.request, containerOwnerQuery);
  if (!query.ok) return query;
  const id = context.param("id");
  if (!containerIdPattern.test(id)) return refused(notFound);
  const found = await collect(context, query.value.tenant, null, 1, async (name) => {
    const listed = await context.backend.tenant(name).container(id as ContainerId);
    return listed === null ? [] : [listed];
  });
  if (!found.ok) {
    if (query.value.tenant !== undefined) return found;
    const detail = `${found.problem.detail} With \`?tenant=…\` no other registry than that tenant's is needed.`;
    return refused({ ...found.problem, detail });
  }
  const [owned] = found.value;
  return owned === undefined ? refused(notFound) : { ok: true, value: owned };
}

async function shown(reply: Reply<Owned>): Promise<Made> {
  if (!reply.ok) return reply;
  const { tenant, listed } = reply.value;
  const view = containerView(tenant, listed);
  return await taggedJson(200, { etag: String(listed.revision), body: view });
}

async function read(context: AdminContext): Promise<Made> {
  return shown(await find(context));
}

const needsIfMatch: Problem = {
  code: "precondition_required",
  detail: `Resolving a container needs \`If-Match\` with the ETag of what you decided on. ${say(nextCalls.inspectContainer)}, then repeat with its ETag.`,
};
const changed: Problem = {
  code: "precondition_failed",
  detail: `The container has changed since you looked at it. Look again (${say(nextCalls.inspectContainer)}), decide again, and send its present ETag.`,
};
const silent: Problem = {
  code: "unavailable",
  detail: `The registry of this container's tenant broke off before it answered: it may have been done or not. ${say(nextCalls.inspectContainer)} shows which.`,
};

async function resolve(context: AdminContext): Promise<Made> {
  const ifMatch = ifMatchOf(context.request);
  if (ifMatch === null) return refused(needsIfMatch);
  const body = await readJson(context.request, resolveContainerBody, { ranges: {}, empty: "refused" });
  if (!body.ok) return body;
  const owned = await find(context);
  if (!owned.ok) return owned;
  const { tenant, listed } = owned.value;
  const { id } = listed.container;
  const { action, reason } = body.value;
  const act = { action: `container.resolve.${action}`, target: id, reason };
  const reply = await ended(
    context,
    act,
    async (): Promise<Reply<Owned>> => {
      const revision = ifMatch === "*" ? null : Number(ifMatch);
      const order = { action, by: "admin", reason };
      const said = await ask("write", context.log, async (): Promise<Reply<ContainerReply>> => {
        return { ok: true, value: await context.backend.tenant(tenant).resolveContainer(id, order, revision) };
      });
      return said.ok ? outcomeOf(tenant, said.value) : refused(silent);
    },
    () => "done",
  );
  return shown(reply);
}

function outcomeOf(tenant: TenantId, reply: ContainerReply): Reply<Owned> {
  switch (reply.type) {
    case "moved":
      return { ok: true, value: { tenant, listed: reply.container } };
    case "unknown":
      return refused(notFound);
    case "changed":
      return refused(changed);
    case "rejected": {
      const { code, detail, retryAt } = reply.rejection;
      return refused({ code, detail, ...(retryAt === null ? {} : { retryAt }) });
    }
  }
}

export const containerRoutes: readonly Route[] = [
  serveQuery(containerContracts.list, list),
  serve(containerContracts.read, read),
  serve(containerContracts.resolve, resolve),
];
