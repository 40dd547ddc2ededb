/** A tenant's webhooks: all of it lives in its registry, one call each. */
import type { z } from "zod";
import { webhookContracts as contracts } from "../../../protocol/contracts/tenant/webhook-contracts.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { deliveryIdText, webhookIdText } from "../../../protocol/resources/tenant/webhooks.ts";
import type { TenantApi } from "../../../tenant/tenant-api.ts";
import { ask } from "../../backend.ts";
import { answered, mapped, refused } from "../../answer/problem.ts";
import { json, type Route, type TenantContext } from "../../route.ts";
import { type BodyOf, type Made, type QueryOf, serve, serveBody, serveQuery } from "../../serve.ts";
import { webhookNotFound } from "../../../protocol/not-found.ts";

async function registry<T>(
  context: TenantContext,
  how: "read" | "write",
  call: (tenant: TenantApi) => Promise<Reply<T>>,
): Promise<Reply<T>> {
  const reply = await ask(how, context.log, () => call(context.backend.tenant(context.caller.tenant)));
  if (reply.ok || reply.problem.code !== "unavailable") return reply;
  const detail =
    "Your tenant's registry did not answer, so it is not certain that anything was done. Read it, and try again.";
  return refused({ ...reply.problem, detail });
}

/** An id of the wrong form belongs to no webhook, so no call is made. */
function idOf(context: TenantContext, name: string, form: z.ZodType<string>): string | null {
  const id = context.param(name);
  return form.safeParse(id).success ? id : null;
}

async function onOne<T>(
  context: TenantContext,
  how: "read" | "write",
  call: (tenant: TenantApi, id: string) => Promise<Reply<T>>,
): Promise<Reply<T>> {
  const id = idOf(context, "id", webhookIdText);
  return id === null ? refused(webhookNotFound) : await registry(context, how, (tenant) => call(tenant, id));
}

async function create(context: TenantContext, body: BodyOf<typeof contracts.create>): Promise<Made> {
  const reply = await registry(context, "write", (tenant) => tenant.createWebhook(body));
  if (!reply.ok) return reply;
  return json(201, reply.value, { location: `/v1/webhooks/${reply.value.id}` });
}

async function deliveries(context: TenantContext, query: QueryOf<typeof contracts.deliveries>): Promise<Made> {
  const { limit, cursor, state } = query;
  const asked = { limit, before: cursor ?? null, state: state ?? null };
  const reply = await onOne(context, "read", (tenant, id) => tenant.webhookDeliveries(id, asked));
  return mapped(reply, ({ deliveries: data, next }) => ({ data, next_cursor: next === null ? null : String(next) }));
}

async function redeliver(context: TenantContext): Promise<Made> {
  const delivery = idOf(context, "delivery", deliveryIdText);
  if (delivery === null) return refused(webhookNotFound);
  return await onOne(context, "write", (tenant, id) => tenant.redeliver(id, delivery));
}

export const webhookRoutes: readonly Route[] = [
  serveBody(contracts.create, create),
  serve(contracts.list, (context) =>
    registry(context, "read", (tenant) => answered(tenant.webhooks().then((data) => ({ data })))),
  ),
  serve(contracts.get, (context) => onOne(context, "read", (tenant, id) => tenant.webhook(id))),
  serveBody(contracts.change, (context, body) =>
    onOne(context, "write", (tenant, id) => tenant.changeWebhook(id, body)),
  ),
  serve(contracts.delete, (context) => onOne(context, "write", (tenant, id) => tenant.deleteWebhook(id))),
  serve(contracts.rotate, (context) => onOne(context, "write", (tenant, id) => tenant.rotateWebhook(id))),
  serveQuery(contracts.deliveries, deliveries),
  serve(contracts.test, (context) => onOne(context, "write", (tenant, id) => tenant.testWebhook(id))),
  serve(contracts.redeliver, redeliver),
];
