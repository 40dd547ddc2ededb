/** `/v1/webhooks`: being told instead of asking. */
import { z } from "zod";
import { contract } from "../../contract.ts";
import { pageLimit } from "../../query.ts";
import {
  changeWebhook,
  createWebhook,
  deliveryIdText,
  deliveryPage,
  deliveryStates,
  deliveryView,
  webhookIdText,
  webhookList,
  webhookView,
  webhookWithSecret,
} from "../../resources/tenant/webhooks.ts";

const tenant = { access: "tenant", tag: "Webhooks" } as const;
const one = { ...tenant, parameters: { id: webhookIdText, delivery: deliveryIdText } } as const;

export const deliveryQuery = z.strictObject({
  limit: pageLimit,
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "Pass `next_cursor` of the page before, unchanged.")
    .transform(Number)
    .optional(),
  state: z.enum(deliveryStates).optional(),
});

export const webhookContracts = {
  create: contract({
    ...tenant,
    operation: "createWebhook",
    method: "POST",
    path: "/v1/webhooks",
    summary: "Have events sent to you",
    description:
      "Signed by Standard Webhooks: verify with its library, the `secret` and the raw body. Events of a session come in order and at least once; drop a `webhook-id` that you have seen. What is not answered with 2xx within 15 s is sent again, for three days. The secret is shown in this answer only.",
    body: {
      schema: createWebhook,
      required: true,
      example: { url: "https://example.com/hook", events: ["session.terminated"] },
    },
    answers: {
      201: { means: "It is made; events from now on are sent.", body: webhookWithSecret, headers: ["location"] },
    },
    problems: ["quota_exhausted"],
  }),
  list: contract({
    ...tenant,
    operation: "listWebhooks",
    method: "GET",
    path: "/v1/webhooks",
    summary: "List your webhooks",
    answers: { 200: { means: "All of them.", body: webhookList } },
  }),
  get: contract({
    ...one,
    operation: "getWebhook",
    method: "GET",
    path: "/v1/webhooks/:id",
    summary: "A webhook, and whether it works",
    answers: { 200: { means: "As it stands.", body: webhookView } },
    problems: ["not_found"],
  }),
  change: contract({
    ...one,
    operation: "changeWebhook",
    method: "PATCH",
    path: "/v1/webhooks/:id",
    summary: "Change, switch off or switch on again",
    body: { schema: changeWebhook, required: true, example: { enabled: true } },
    answers: { 200: { means: "As it stands now.", body: webhookView } },
    problems: ["not_found"],
  }),
  delete: contract({
    ...one,
    operation: "deleteWebhook",
    method: "DELETE",
    path: "/v1/webhooks/:id",
    summary: "Delete a webhook and what waits for it",
    body: "no fields",
    answers: { 204: { means: "Nothing more is sent." } },
    problems: ["not_found"],
  }),
  rotate: contract({
    ...one,
    operation: "rotateWebhookSecret",
    method: "POST",
    path: "/v1/webhooks/:id/rotate",
    summary: "A new secret",
    description: "For a day the old secret signs as well: a receiver that knows either of them verifies.",
    body: "no fields",
    answers: { 200: { means: "With the new secret, in this answer only.", body: webhookWithSecret } },
    problems: ["not_found"],
  }),
  deliveries: contract({
    ...one,
    operation: "listDeliveries",
    method: "GET",
    path: "/v1/webhooks/:id/deliveries",
    summary: "What was sent, and how it went",
    description: "Newest first. Kept for a week after they ended.",
    query: deliveryQuery,
    answers: { 200: { means: "One page.", body: deliveryPage } },
    problems: ["not_found"],
  }),
  test: contract({
    ...one,
    operation: "testWebhook",
    method: "POST",
    path: "/v1/webhooks/:id/test",
    summary: "Send a test",
    description: "A `webhook.test` event, sent like any other. Read how it went in the deliveries.",
    body: "no fields",
    answers: { 202: { means: "It is queued.", body: deliveryView } },
    problems: ["not_found"],
  }),
  redeliver: contract({
    ...one,
    operation: "redeliver",
    method: "POST",
    path: "/v1/webhooks/:id/deliveries/:delivery/redeliver",
    summary: "Send one again",
    description: "Whatever became of it, with the same `webhook-id`.",
    body: "no fields",
    answers: { 202: { means: "It is queued.", body: deliveryView } },
    problems: ["not_found"],
  }),
} as const;
