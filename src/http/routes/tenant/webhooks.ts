/** A tenant's webhooks: all of it lives in its registry, one call each. */
import type { z } from "zod";
import { deliveryQuery, webhookContracts as contracts } from "../../../protocol/contracts/tenant/webhook-contracts.ts";
import type { Reply } from "../../../protocol/problem.ts";
import {
  changeWebhook,
  createWebhook,
  deliveryIdText,
  webhookIdText,
} from "../../../protocol/resources/tenant/webhooks.ts";
import type { TenantApi } from "../../../tenant/tenant-api.ts";
import { ask } from "../../backend.ts";
import { readJson, readNoFields } from "../../request/body.ts";
import { readQuery } from "../../request/headers.ts";
import { refused } from "../../answer/problem.ts";
import { json, problem, type Route, serve, type TenantContext } from "../../route.ts";
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

async function create(context: TenantContext): Promise<Response> {
  const body = await readJson(context.request, createWebhook, { ranges: {}, empty: "refused" });
  if (!body.ok) return problem(context, body.problem);
  const reply = await registry(context, "write", (tenant) => tenant.createWebhook(body.value));
  if (!reply.ok) return problem(context, reply.problem);
  return json(201, reply.value, { location: `/v1/webhooks/${reply.value.id}` });
}

async function list(context: TenantContext): Promise<Response> {
  const reply = await registry(context, "read", async (tenant): Promise<Reply<unknown>> => {
    return { ok: true, value: await tenant.webhooks() };
  });
  return reply.ok ? json(200, { data: reply.value }) : problem(context, reply.problem);
}

async function get(context: TenantContext): Promise<Response> {
  const reply = await onOne(context, "read", (tenant, id) => tenant.webhook(id));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function change(context: TenantContext): Promise<Response> {
  const body = await readJson(context.request, changeWebhook, { ranges: {}, empty: "refused" });
  if (!body.ok) return problem(context, body.problem);
  const reply = await onOne(context, "write", (tenant, id) => tenant.changeWebhook(id, body.value));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function remove(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const reply = await onOne(context, "write", (tenant, id) => tenant.deleteWebhook(id));
  return reply.ok ? new Response(null, { status: 204 }) : problem(context, reply.problem);
}

async function rotate(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const reply = await onOne(context, "write", (tenant, id) => tenant.rotateWebhook(id));
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function deliveries(context: TenantContext): Promise<Response> {
  const query = readQuery(context.request, deliveryQuery);
  if (!query.ok) return problem(context, query.problem);
  const { limit, cursor, state } = query.value;
  const asked = { limit, before: cursor ?? null, state: state ?? null };
  const reply = await onOne(context, "read", (tenant, id) => tenant.webhookDeliveries(id, asked));
  if (!reply.ok) return problem(context, reply.problem);
  const { deliveries: data, next } = reply.value;
  return json(200, { data, next_cursor: next === null ? null : String(next) });
}

async function test(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const reply = await onOne(context, "write", (tenant, id) => tenant.testWebhook(id));
  return reply.ok ? json(202, reply.value) : problem(context, reply.problem);
}

async function redeliver(context: TenantContext): Promise<Response> {
  const none = await readNoFields(context.request);
  if (!none.ok) return problem(context, none.problem);
  const delivery = idOf(context, "delivery", deliveryIdText);
  if (delivery === null) return problem(context, webhookNotFound);
  const reply = await onOne(context, "write", (tenant, id) => tenant.redeliver(id, delivery));
  return reply.ok ? json(202, reply.value) : problem(context, reply.problem);
}

export const webhookRoutes: readonly Route[] = [
  serve(contracts.create, create),
  serve(contracts.list, list),
  serve(contracts.get, get),
  serve(contracts.change, change),
  serve(contracts.delete, remove),
  serve(contracts.rotate, rotate),
  serve(contracts.deliveries, deliveries),
  serve(contracts.test, test),
  serve(contracts.redeliver, redeliver),
];
