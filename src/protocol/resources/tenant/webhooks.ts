/**
 * Webhooks on the wire: where a tenant wants its sessions' events sent, and how that goes. What is sent follows Standard
 * Webhooks (standardwebhooks.com): headers `webhook-id`, `webhook-timestamp`, `webhook-signature`, and a body `webhookMessage`.
 */
import { z } from "zod";
import { eventView } from "../session/events.ts";
import { eventTypes } from "../../../domain/state/event-types.ts";
import { nearestName } from "../../nearest-name.ts";
import { instant, plainText } from "../../primitives.ts";

export const webhookLimits = { perTenant: 10, url: 2_048, events: 50, pending: 10_000 } as const;

export const webhookIdText = z
  .string()
  .regex(/^wh_[a-z0-9]{20}$/, "An id of a webhook: `wh_` and 20 lower-case letters and digits.");
export const deliveryIdText = z
  .string()
  .regex(/^dl_[a-z0-9]{20}$/, "An id of a delivery: `dl_` and 20 lower-case letters and digits.");

const knownFilters: ReadonlySet<string> = new Set(eventTypes.map((type) => `session.${type}`));

function unknownEvent(filter: string): string {
  const near = nearestName(filter, [...knownFilters]);
  const hint = near === null ? "The types are listed in the API reference." : `Did you mean \`${near}\`?`;
  return `No event is called \`${filter}\`, so it would never be sent. ${hint}`;
}

/** `*`: everything. `session.*`: every event of a session. Else one type, such as `session.terminated`. */
const eventFilter = z
  .string()
  .regex(/^(\*|session\.\*|session\.[a-z_]{1,60})$/, "`*`, `session.*`, or one type such as `session.terminated`.")
  .refine((filter) => filter.includes("*") || knownFilters.has(filter), {
    // A filter that no event can match would never fire, and nobody would be told.
    error: ({ input }) => unknownEvent(String(input)),
  });
const url = z.string().max(webhookLimits.url, `At most ${webhookLimits.url} characters.`);
const events = z.array(eventFilter).min(1, "At least one; `*` for all.").max(webhookLimits.events);

export const createWebhook = z.strictObject({
  /** https, a public address, no user or password in it. */
  url,
  /** Left out: all. */
  events: events.optional(),
  description: plainText(200).optional(),
});
export type CreateWebhook = z.infer<typeof createWebhook>;

export const changeWebhook = z
  .strictObject({
    url: url.optional(),
    events: events.optional(),
    description: plainText(200).optional(),
    /** true: sends again, with what had waited. false: holds everything. */
    enabled: z.boolean().optional(),
  })
  .refine((change) => Object.values(change).some((value) => value !== undefined), "Say what to change.");
export type ChangeWebhook = z.infer<typeof changeWebhook>;

export const webhookView = z.object({
  id: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  description: z.string(),
  /** `disabled`: nothing is sent, and new events are not kept for it. */
  status: z.enum(["active", "disabled"]),
  disabled: z.object({ at: instant, reason: z.string() }).nullable(),
  created_at: instant,
  updated_at: instant,
  /** Since when every attempt has failed; null: the last one did not. */
  failing_since: instant.nullable(),
  /** Deliveries that wait for an attempt. */
  pending: z.int(),
  /** The secret before the last rotation signs beside the new one until then; null: it does not. */
  previous_secret_until: instant.nullable(),
});
export type WebhookView = z.infer<typeof webhookView>;

/** The only two answers that hold a secret: nobody can read it later. */
export const webhookWithSecret = webhookView.extend({
  /** `whsec_…`, for a library of Standard Webhooks. */
  secret: z.string(),
});
export type WebhookWithSecret = z.infer<typeof webhookWithSecret>;

export const webhookList = z.object({ data: z.array(webhookView) });

export const deliveryStates = ["pending", "delivered", "failed"] as const;

export const deliveryView = z.object({
  id: z.string(),
  webhook_id: z.string(),
  /** The `webhook-id` that is sent, the same in every attempt: receivers drop what they have seen. */
  event_id: z.string(),
  type: z.string(),
  /** null: a test. */
  session_id: z.string().nullable(),
  state: z.enum(deliveryStates),
  created_at: instant,
  /** When it was taken, or given up. */
  ended_at: instant.nullable(),
  next_attempt_at: instant.nullable(),
  /** All there were. */
  attempt_count: z.int(),
  /** The newest 20, oldest first. */
  attempts: z.array(
    z.object({
      at: instant,
      /** null: no answer. */
      status: z.int().nullable(),
      /** null: it was taken. */
      error: z.string().nullable(),
      duration_ms: z.int(),
    }),
  ),
});
export type DeliveryView = z.infer<typeof deliveryView>;
export const deliveryPage = z.object({ data: z.array(deliveryView), next_cursor: z.string().nullable() });

/** What is sent. */
export const webhookMessage = z.object({
  /** `session.<type of the event>`, or `webhook.test`. */
  type: z.string(),
  timestamp: instant,
  data: z.union([
    z.object({ session_id: z.string(), ...eventView.shape }),
    z.object({ webhook_id: z.string(), message: z.string() }),
  ]),
});
export type WebhookMessage = z.infer<typeof webhookMessage>;
