/** A receiver that is slow or down costs neither the tenant nor its other receivers anything. */
import { describe, expect, it } from "vitest";
import type { PostOutcome } from "../../../src/tenant/webhooks/webhook-ports.ts";
import { sessionId } from "../../support/reports.ts";
import { WebhookRig, taken, down, url, minute, day } from "../../support/webhook-rig.ts";

const [one, other] = [sessionId("one"), sessionId("other")];

/** The statements that `work` runs, each with the plan that SQLite has for it. */
function plansOf(rig: WebhookRig, work: () => void): readonly { readonly statement: string; readonly plan: string }[] {
  const statements: string[] = [];
  const run = rig.sql.run.bind(rig.sql);
  rig.sql.run = (statement, ...bindings) => {
    statements.push(statement);
    return run(statement, ...bindings);
  };
  try {
    work();
  } finally {
    rig.sql.run = run;
  }
  return statements.map((statement) => {
    const nulls = Array.from({ length: statement.split("?").length - 1 }, () => null);
    const steps = run(`EXPLAIN QUERY PLAN ${statement}`, ...nulls).map((row) => String(row["detail"]));
    return { statement, plan: steps.join("; ") };
  });
}

describe("what waits for a receiver that is down", () => {
  it("[BUG-15] is not read to find out when to look again, nor by a report: only heads of queues are", async () => {
    const rig = new WebhookRig();
    const { id } = await rig.webhook();
    rig.receiver = () => down;
    for (let index = 0; index < 40; index += 1) rig.happened(sessionId(`s${index}x`), "created", "running");
    await rig.pass(minute);
    expect(rig.view(id).pending).toBe(80);
    const plans = plansOf(rig, () => {
      rig.dispatcher.nextLook();
      rig.reported(one);
      rig.dispatcher.nextLook();
    });
    const ofDeliveries = plans.filter(({ statement }) => /\bdelivery\b/.test(statement));
    expect(ofDeliveries.length).toBeGreaterThan(0);
    for (const { statement, plan } of ofDeliveries) {
      const existence = statement === "SELECT 1 FROM delivery LIMIT 1";
      if (!existence) expect(plan, statement).toMatch(/^SEARCH delivery USING (COVERING )?INDEX delivery_head/);
      // One row of it is enough: nothing is counted, sorted or joined.
      expect(statement).toMatch(/LIMIT 1$/);
      expect(plan).not.toContain("TEMP B-TREE");
    }
  });

  it("[BUG-15] keeps one head for each queue and counts what waits, through failures, redeliveries and pruning", async () => {
    const rig = new WebhookRig();
    const hooks = [await rig.webhook(), await rig.webhook(["session.running"])];
    let turn = 0;
    rig.receiver = () => ((turn += 1) % 3 === 0 ? taken : down);
    const holds = () => {
      const heads = rig.sql.run(
        "SELECT webhook_id, session_id, position FROM delivery WHERE head = 1 ORDER BY webhook_id, session_id",
      );
      const firsts = rig.sql.run(
        `SELECT webhook_id, session_id, min(position) AS position FROM delivery WHERE state = 'pending'
         GROUP BY webhook_id, session_id ORDER BY webhook_id, session_id`,
      );
      expect(heads).toEqual(firsts);
      for (const { id } of hooks) {
        const counted = rig.deliveries(id).filter((each) => each.state === "pending").length;
        expect(rig.view(id).pending).toBe(counted);
      }
    };
    for (let step = 0; step < 30; step += 1) {
      rig.happened(sessionId(`q${step % 4}x`), "created", "running");
      await rig.pass(step * minute);
      holds();
      const ended = rig.deliveries(hooks[0]?.id ?? "").find((each) => each.state !== "pending");
      if (step % 3 === 0 && ended !== undefined) rig.commands.redeliver(hooks[0]?.id ?? "", ended.id);
      holds();
    }
    rig.commands.change(hooks[1]?.id ?? "", { enabled: false });
    await rig.pass(9 * day);
    while (rig.core.prune());
    holds();
    expect(rig.view(hooks[1]?.id ?? "").pending).toBe(0);
  });
});

describe("a receiver that is slow", () => {
  it("[BUG-16] delays no other receiver and no reading: each has its own lane and a cap [API-7]", async () => {
    const rig = new WebhookRig();
    const slowUrl = "https://slow.example.com/hook";
    await rig.webhook();
    const slow = await rig.commands.createWebhook({ url: slowUrl });
    if (!slow.ok) throw new Error(slow.problem.detail);
    const open: ((outcome: PostOutcome) => void)[] = [];
    rig.receiver = (order) =>
      order.url === slowUrl ? new Promise((resolve) => void open.push(resolve)) : Promise.resolve(taken);
    for (let index = 0; index < 20; index += 1) rig.happened(sessionId(`s${index}x`), "created", "running");
    // The slow one has answered nothing; everything is read, and the other receiver has it all.
    const work = rig.dispatcher.run();
    await expect.poll(() => rig.posted.filter((order) => order.url === url).length).toBe(40);
    expect(rig.posted.filter((order) => order.url === slowUrl)).toHaveLength(2);
    rig.happened(other, "created");
    void rig.dispatcher.run();
    await expect.poll(() => rig.told(other).length).toBe(1);
    expect(open).toHaveLength(2);
    // It takes them at last, and now rests between one and the next, one at a time.
    rig.receiver = () => ({ ...taken, ms: 4_000 });
    for (const answer of open) answer({ ...taken, ms: 4_000 });
    await work;
    const before = rig.posted.length;
    await rig.pass(20_000);
    expect(rig.posted.length - before).toBeGreaterThan(0);
    expect(rig.posted.length - before).toBeLessThanOrEqual(6);
    await rig.pass(10 * minute);
    expect(rig.view(slow.value.id)).toMatchObject({ pending: 0, failing_since: null });
  });

  it("[BUG-16] six receivers that hang leave the seventh its turn as soon as one of them ends", async () => {
    const rig = new WebhookRig();
    const made = [];
    for (let index = 0; index < 7; index += 1) {
      const hook = await rig.commands.createWebhook({ url: `https://r${index}.example.com/hook` });
      if (!hook.ok) throw new Error(hook.problem.detail);
      made.push(hook.value.id);
    }
    const open: (() => void)[] = [];
    rig.receiver = () => new Promise((resolve) => void open.push(() => resolve(down)));
    rig.happened(one, "created");
    rig.happened(other, "created");
    void rig.dispatcher.run();
    await expect.poll(() => open.length).toBe(6);
    // One connection each, although two of each receiver's queues are due.
    expect(new Set(rig.posted.map((order) => order.url)).size).toBe(6);
    open[0]?.();
    await expect.poll(() => rig.posted.length).toBe(7);
    expect(new Set(rig.posted.map((order) => order.url)).size).toBe(7);
  });
});
