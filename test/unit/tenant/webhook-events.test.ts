import { expect, it } from "vitest";
import { eventTypes } from "../../../src/domain/state/event-types.ts";
import { changeWebhook, createWebhook } from "../../../src/protocol/resources/tenant/webhooks.ts";

const url = "https://example.com/hook";
const refusal = (filter: string): string | undefined =>
  createWebhook.safeParse({ url, events: [filter] }).error?.issues[0]?.message;

it("[BUG-63] a webhook takes every event there is, and refuses a misspelt one with the right name", () => {
  for (const filter of ["*", "session.*", ...eventTypes.map((type) => `session.${type}`)])
    expect(createWebhook.safeParse({ url, events: [filter] }).success, filter).toBe(true);
  expect(refusal("session.terminatd")).toMatch(/never be sent.*Did you mean `session.terminated`/);
  expect(refusal("session.sandbox_gon")).toContain("`session.sandbox_gone`");
  expect(refusal("session.weather")).toContain("No event is called");
  expect(changeWebhook.safeParse({ events: ["session.runing"] }).success).toBe(false);
});
