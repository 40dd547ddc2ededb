/** The state machine of webhooks: what is sent, in which order, again and when, and when it stops. */
import { describe, expect, it } from "vitest";
import { eventTypes } from "../../../src/domain/state/event-types.ts";
import { rfc3339 } from "../../../src/protocol/primitives.ts";
import { webhookMessage } from "../../../src/protocol/resources/tenant/webhooks.ts";
import type { DeliveryView } from "../../../src/protocol/resources/tenant/webhooks.ts";
import type { PostOutcome } from "../../../src/tenant/webhooks/webhook-ports.ts";
import { instantSeals } from "../../support/instant-seals.ts";
import { report, sessionId } from "../../support/reports.ts";
import { WebhookRig, sequenceOf, start, taken, down, url, minute, day } from "../../support/webhook-rig.ts";

const [one, other] = [sessionId("one"), sessionId("other")];

describe("what happened to a session", () => {
  it("is sent once, in order, with the event's id as message id, and only what was asked for [API-7]", async () => {
    const rig = new WebhookRig();
    const everything = await rig.webhook();
    const ends = await rig.webhook(["session.terminated"]);
    rig.happened(one, "created", "running");
    await rig.pass(0);
    rig.happened(one, "terminated");
    rig.reported(one);
    await rig.pass(minute);
    expect(rig.deliveries(everything.id).map((each) => each.type)).toEqual([
      "session.terminated",
      "session.running",
      "session.created",
    ]);
    expect(rig.deliveries(ends.id).map((each) => each.type)).toEqual(["session.terminated"]);
    expect(rig.posted).toHaveLength(4);
    const ids = rig.deliveries(everything.id).map((each) => each.event_id);
    expect(new Set(ids).size).toBe(3);
    const [sent] = rig.posted;
    expect(sent).toMatchObject({ url, secrets: [everything.secret], id: ids.at(-1) });
    expect(webhookMessage.parse(JSON.parse(sent?.body ?? ""))).toMatchObject({
      type: "session.created",
      data: { session_id: one, sequence: 1, actor: "client" },
    });
    expect(rig.dispatcher.nextLook()).toBeNull();
  });

  it("is sent for every kind of event that there is, and those for people to whoever asked for them by name [API-7]", async () => {
    const rig = new WebhookRig();
    const people = ["ending_soon", "budget_warning", "setback"];
    const every = await rig.webhook(["session.*"]);
    const named = await rig.webhook(people.map((type) => `session.${type}`));
    rig.happened(one, ...eventTypes);
    await rig.pass(minute);
    const told = (id: string) => rig.deliveries(id).map((each) => [each.type, each.state]);
    const sent = (types: readonly string[]) => types.map((type) => [`session.${type}`, "delivered"]);
    expect(told(every.id).toReversed()).toEqual(sent(eventTypes));
    expect(told(named.id).toReversed()).toEqual(sent(eventTypes.filter((type) => people.includes(type))));
    expect(told(named.id)).toHaveLength(people.length);
  });

  it("before the webhook was made is not sent", async () => {
    const rig = new WebhookRig();
    await rig.webhook(["session.nothing"]);
    rig.happened(one, "created");
    await rig.pass(minute);
    const later = await rig.webhook();
    rig.happened(one, "running");
    await rig.pass(minute);
    expect(rig.deliveries(later.id).map((each) => each.type)).toEqual(["session.running"]);
  });

  it("costs a tenant without webhooks no row and no look", async () => {
    const rig = new WebhookRig();
    rig.happened(one, "created", "running");
    expect(rig.dispatcher.nextLook()).toBeNull();
    expect(rig.sql.run("SELECT count(*) AS rows FROM webhook_session")[0]?.["rows"]).toBe(0);
  });

  it("is read later when the session does not answer, and nothing is lost or repeated [API-7]", async () => {
    const rig = new WebhookRig();
    await rig.webhook();
    rig.silent = true;
    rig.happened(one, "created");
    await rig.pass(5 * minute);
    expect(rig.posted).toEqual([]);
    rig.silent = false;
    rig.happened(one, "running");
    await rig.pass(minute);
    expect(rig.told(one)).toEqual([1, 2]);
  });

  it("of which there is more than one page comes whole", async () => {
    const rig = new WebhookRig();
    await rig.webhook();
    rig.happened(one, ...Array.from({ length: 250 }, () => "running"));
    await rig.pass(minute);
    expect(rig.told(one)).toEqual(Array.from({ length: 250 }, (_, index) => index + 1));
  });

  it("and then erased it is forgotten without a fuss", async () => {
    const rig = new WebhookRig();
    await rig.webhook();
    rig.happened(one, "created");
    rig.events.delete(one);
    await rig.pass(minute);
    expect(rig.dispatcher.nextLook()).toBeNull();
  });

  it("under an id that is used anew is told anew, with other message ids", async () => {
    const rig = new WebhookRig();
    await rig.webhook();
    rig.happened(one, "created");
    await rig.pass(minute);
    rig.events.set(one, []);
    rig.core.report(report(one, 9, { createdAt: start, status: "terminated", erased: true }));
    rig.happened(one, "created");
    rig.core.report(report(one, 1, { createdAt: rig.now }));
    await rig.pass(minute);
    expect(rig.told(one)).toEqual([1, 1]);
    expect(new Set(rig.posted.map((order) => order.id)).size).toBe(2);
  });
});

describe("a receiver that is down", () => {
  it("gets everything later, each session's events in order, one delivery not held up by another session's [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.receiver = () => down;
    rig.happened(one, "created", "running", "terminating");
    rig.happened(other, "created", "running");
    await rig.pass(3 * minute);
    expect(rig.view(id)).toMatchObject({ status: "active", failing_since: rfc3339(start), pending: 5 });
    // While the first of a session is not taken, the next is not sent.
    expect(new Set(rig.told(one))).toEqual(new Set([1]));
    rig.receiver = () => taken;
    await rig.pass(day);
    const first = (sequences: readonly number[]) => [...new Set(sequences)];
    expect(first(rig.told(one))).toEqual([1, 2, 3]);
    expect(first(rig.told(other))).toEqual([1, 2]);
    expect(rig.view(id)).toMatchObject({ status: "active", failing_since: null, pending: 0 });
    const log = rig.deliveries(id).at(-1);
    expect(log).toMatchObject({
      state: "delivered",
      attempts: [{ status: 503, error: "It answered 503." }, ...many(log)],
    });
  });

  it("is asked less and less, whatever waits for it: a long queue is no flood [API-7]", async () => {
    const rig = new WebhookRig();
    await rig.webhook();
    rig.receiver = () => down;
    for (let index = 0; index < 200; index += 1) rig.happened(sessionId(`s${index}x`), "created");
    await rig.pass(60 * minute);
    // 200 sessions with 5 retries each would be 1,000 in an hour; a rest of five minutes lets four through at a time.
    expect(rig.posted.length).toBeLessThan(100);
  });

  it("for one event only holds up that session's, not the others' [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.receiver = (order) => (sequenceOf(order, one) === null ? taken : down);
    rig.happened(one, "created", "running");
    await rig.pass(minute);
    rig.happened(other, "created", "running");
    await rig.pass(day);
    expect(rig.told(other)).toEqual([1, 2]);
    expect(new Set(rig.told(one))).toEqual(new Set([1]));
    expect(rig.view(id).status).toBe("active");
  });

  it("for longer than is allowed is disabled, visibly, and goes on with what had waited when it is enabled [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.receiver = () => down;
    rig.happened(one, "created");
    await rig.pass(4 * day);
    expect(rig.view(id)).toMatchObject({
      status: "disabled",
      disabled: { reason: expect.stringContaining("failed") as string },
    });
    const asked = rig.posted.length;
    await rig.pass(day);
    expect(rig.posted).toHaveLength(asked);
    expect(rig.dispatcher.nextLook()).toBeNull();
    rig.receiver = () => taken;
    expect(rig.commands.change(id, { enabled: true })).toMatchObject({
      ok: true,
      value: { status: "active", disabled: null },
    });
    await rig.pass(2 * day);
    expect(rig.deliveries(id)[0]?.state).toBe("delivered");
  });

  it("gives up a delivery after its last attempt; it stays in the log and can be sent again [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    // Now and then something else is taken, so that the webhook itself is not disabled.
    rig.receiver = (order) => (order.id.startsWith("evt_test") ? taken : down);
    rig.happened(one, "created");
    for (let days = 0; days < 5; days += 1) {
      rig.commands.test(id);
      await rig.pass(day);
    }
    const failed = rig.deliveries(id).find((each) => each.state === "failed");
    expect(failed).toMatchObject({ attempt_count: 12, next_attempt_at: null });
    rig.receiver = () => taken;
    expect(rig.commands.redeliver(id, failed?.id ?? "")).toMatchObject({ ok: true, value: { state: "pending" } });
    await rig.pass(minute);
    const again = rig.deliveries(id).find((each) => each.id === failed?.id);
    expect(again).toMatchObject({ state: "delivered", attempt_count: 13, event_id: failed?.event_id });
  });

  it("and says 410 is asked no more; one that asks for time gets it [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.receiver = () => ({ ...down, retryAfterMs: 10 * minute });
    rig.happened(one, "created");
    await rig.pass(9 * minute);
    expect(rig.posted).toHaveLength(1);
    rig.receiver = () => ({ ...down, status: 410, error: "It answered 410." });
    await rig.pass(2 * minute);
    expect(rig.posted).toHaveLength(2);
    expect(rig.view(id)).toMatchObject({
      status: "disabled",
      disabled: { reason: expect.stringContaining("410") as string },
    });
  });
});

describe("a crash", () => {
  it("in the middle of an attempt sends it once more, with the same id, and never loses it [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.receiver = () => new Promise<PostOutcome>(() => {});
    rig.happened(one, "created");
    void rig.dispatcher.run();
    await expect.poll(() => rig.posted.length).toBe(1);
    rig.reincarnate();
    rig.receiver = () => taken;
    await rig.pass(5 * minute);
    expect(rig.posted.map((order) => order.id)).toEqual([rig.posted[0]?.id, rig.posted[0]?.id]);
    expect(rig.deliveries(id)[0]?.state).toBe("delivered");
  });

  it("between the report and the reading loses nothing: the mark is in the report's own transaction [API-7] [I1]", async () => {
    const rig = new WebhookRig();
    await rig.webhook();
    rig.happened(one, "created");
    rig.reincarnate();
    expect(rig.dispatcher.nextLook()).not.toBeNull();
    await rig.pass(minute);
    expect(rig.told(one)).toEqual([1]);
  });
});

describe("a webhook", () => {
  it("that is deleted hears nothing more, not even of an attempt under way; its rows are gone [API-7]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    let answer: (outcome: PostOutcome) => void = () => {};
    rig.receiver = () => new Promise((resolve) => void (answer = resolve));
    rig.happened(one, "created", "running");
    const turn = rig.dispatcher.run();
    await expect.poll(() => rig.posted.length).toBe(1);
    expect(rig.commands.deleteWebhook(id)).toEqual({ ok: true, value: null });
    answer(down);
    await turn;
    await rig.pass(day);
    expect(rig.posted).toHaveLength(1);
    expect(rig.sql.run("SELECT count(*) AS rows FROM delivery")[0]?.["rows"]).toBe(0);
    expect(rig.commands.webhook(id)).toMatchObject({ ok: false, problem: { code: "not_found" } });
  });

  it("shows its secret when it is made and when it is rotated, never else; for a day both sign [API-7] [SEC-3]", async () => {
    const rig = new WebhookRig();
    const { id, secret } = await rig.webhook();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const rotated = await rig.commands.rotateWebhook(id);
    if (!rotated.ok) throw new Error(rotated.problem.detail);
    const { secret: next } = rotated.value;
    expect(next).not.toBe(secret);
    rig.happened(one, "created");
    await rig.pass(minute);
    expect(rig.posted.at(-1)?.secrets).toEqual([next, secret]);
    await rig.pass(day);
    rig.happened(one, "running");
    await rig.pass(minute);
    expect(rig.posted.at(-1)?.secrets).toEqual([next]);
    const read = JSON.stringify([
      rig.commands.webhooks(),
      rig.view(id),
      rig.deliveries(id),
      rig.commands.change(id, { events: ["*"] }),
    ]);
    const rows = JSON.stringify(["webhook", "delivery"].map((table) => rig.sql.run(`SELECT * FROM ${table}`)));
    for (const hidden of [secret, next]) {
      expect(read).not.toContain(hidden);
      expect(rows).not.toContain(hidden);
    }
  });

  it("whose secret cannot be opened sends nothing unsigned, says so, and goes on when the key is back [SEC-3]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.seals = instantSeals(["another"]);
    rig.reincarnate();
    expect(await rig.commands.reseal()).toEqual({ current: 0, renewed: 0, unreadable: 1 });
    rig.happened(one, "created");
    await rig.pass(minute);
    expect(rig.posted).toEqual([]);
    expect(rig.deliveries(id)[0]?.attempts[0]?.error).toContain("secret cannot be read");
    rig.seals = instantSeals(["another", "k1"]);
    rig.reincarnate();
    expect(await rig.commands.reseal()).toEqual({ current: 0, renewed: 1, unreadable: 0 });
    rig.seals = instantSeals(["another"]);
    rig.reincarnate();
    await rig.pass(60 * minute);
    expect(rig.told(one)).toEqual([1]);
  });

  it("is not made, and its secret not rotated, without a key to keep it with; nothing is stored in plain [SEC-1] [SEC-3]", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.seals = instantSeals([]);
    rig.reincarnate();
    for (const reply of [await rig.commands.createWebhook({ url }), await rig.commands.rotateWebhook(id)]) {
      expect(reply).toMatchObject({ ok: false, problem: { code: "secret_missing" } });
    }
    expect(rig.commands.webhooks()).toHaveLength(1);
  });

  it("to a private address is refused when it is made, when it is changed, and again before each attempt [API-7]", async () => {
    const rig = new WebhookRig();
    for (const bad of ["http://example.com/", "https://169.254.169.254/latest", "https://localhost/"]) {
      const refused = await rig.commands.createWebhook({ url: bad });
      expect(refused).toMatchObject({
        ok: false,
        problem: { code: "validation_failed", errors: [{ pointer: "/url" }] },
      });
    }
    const { id } = await rig.webhook();
    expect(rig.commands.change(id, { url: "https://10.0.0.1/" })).toMatchObject({ ok: false });
    // As a deployment would have left it that allowed such addresses before.
    rig.core.rows.write((sql) => sql.run("UPDATE webhook SET url = 'https://127.0.0.1/'"));
    rig.happened(one, "created");
    await rig.pass(minute);
    expect(rig.posted).toEqual([]);
    expect(rig.deliveries(id)[0]?.attempts[0]?.error).toContain("public address");
  });

  it("is one of ten at most, and its log one of a week [SEC-4]", async () => {
    const rig = new WebhookRig();
    for (let made = 0; made < 10; made += 1) await rig.webhook();
    expect(await rig.commands.createWebhook({ url })).toMatchObject({
      ok: false,
      problem: { code: "quota_exhausted", limit: 10, used: 10 },
    });
    rig.happened(one, "created");
    await rig.pass(6 * day);
    rig.core.prune();
    expect(rig.sql.run("SELECT count(*) AS rows FROM delivery")[0]?.["rows"]).toBe(10);
    await rig.pass(2 * day);
    rig.core.prune();
    expect(rig.sql.run("SELECT count(*) AS rows FROM delivery")[0]?.["rows"]).toBe(0);
  });

  it("pages its deliveries newest first, without skipping or repeating", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.happened(one, ...Array.from({ length: 25 }, () => "running"));
    await rig.pass(minute);
    const seen: string[] = [];
    for (let before: number | null = null, pages = 0; pages < 10; pages += 1) {
      const page = rig.commands.webhookDeliveries(id, { limit: 10, before, state: "delivered" });
      if (!page.ok) throw new Error(page.problem.detail);
      seen.push(...page.value.deliveries.map((each) => each.event_id));
      before = page.value.next;
      if (before === null) break;
    }
    expect(seen).toHaveLength(25);
    expect(new Set(seen).size).toBe(25);
    expect(seen[0]).toMatch(/_25$/);
  });
});

/** What follows the first attempt in that log, whatever it is. */
function many(delivery: DeliveryView | undefined): readonly unknown[] {
  return (delivery?.attempts ?? []).slice(1);
}
