/**
 * Shared containers as an operator meets them: the real routes, registries and sessions in workerd, and a provider that does
 * not let a container end. What is shown is what is stored; every way out is taken to its end.
 */
import { describe, expect, it } from "vitest";
import { adminLogPage } from "../../src/protocol/resources/operator/fleet.ts";
import { containerPage, containerView, type ContainerView } from "../../src/protocol/resources/operator/containers.ts";
import type { ContainerId } from "../../src/domain/state/ids.ts";
import type { FleetShardApi } from "../../src/fleet/shard/shard-api.ts";
import { shardName } from "../../src/fleet/shard/shard-name.ts";
import type { Fault } from "../memory/fault-plan.ts";
import { holdToDocument } from "../support/documented.ts";
import { adminToken, bodyOf, expectProblem, shards } from "../support/workers/mooring.ts";
import { riggedSend } from "../support/workers/rigged-http.ts";
import { containerFate, now, policy, setAhead } from "../support/workers/rigged-session.ts";
import { callsAbout, destructions, Sharing } from "../support/workers/rigged-tenant.ts";

const refused: Fault = { type: "fail_before", effect: "unknown" };
const hour = 3_600_000;
const why = "the host was switched off at eleven";

async function ask(method: string, path: string, json?: unknown, headers: Record<string, string> = {}) {
  const call = { key: adminToken, headers, ...(json === undefined ? {} : { json }) };
  const reply = await riggedSend(method, `/v1/admin/containers${path}`, call);
  await holdToDocument(method, `/v1/admin/containers${path}`, reply);
  return reply;
}

async function page(query: string) {
  return await bodyOf(await ask("GET", query), containerPage);
}

async function seen(id: ContainerId): Promise<{ readonly view: ContainerView; readonly etag: string }> {
  const reply = await ask("GET", `/${id}`);
  return { view: await bodyOf(reply, containerView), etag: reply.headers.get("etag") ?? "" };
}

async function resolve(id: ContainerId, action: string, etag: string, query = ""): Promise<Response> {
  return await ask("POST", `/${id}/resolve${query}`, { action, reason: why }, { "if-match": etag });
}

/** Its alarm, each time when the next step is due, until that holds. */
async function drive(sharing: Sharing, id: ContainerId, until: (view: ContainerView) => boolean): Promise<void> {
  // One that is under way ends by itself.
  const settled = (view: ContainerView) => view.phase === "gone" || view.end?.next_attempt_at != null;
  for (let wakes = 0; ; wakes += 1) {
    await expect.poll(async () => settled((await seen(id)).view)).toBe(true);
    const { view } = await seen(id);
    if (until(view)) return;
    if (wakes > 40) throw new Error(JSON.stringify(view));
    setAhead(Math.max(0, Date.parse(view.end?.next_attempt_at ?? "") - now()));
    await sharing.wake();
  }
}

/** One that nobody is in and that cannot be ended, with all attempts of its first round used up. */
async function stuck(sharing: Sharing): Promise<ContainerId> {
  const { session, container: id } = await sharing.member();
  containerFate(id, ({ op }) => (op === "destroyContainer" ? refused : { type: "none" }));
  await sharing.end(session);
  await drive(sharing, id, (view) => (view.end?.attempts ?? 0) >= policy.stopAttempts);
  return id;
}

async function overdueInIndex(sharing: Sharing): Promise<readonly string[]> {
  const name = shardName(sharing.name, 4);
  const shard = shards.get(shards.idFromName(name)) as unknown as FleetShardApi;
  const overdue = await shard.overdueContainers(now(), 100);
  return overdue.filter(({ tenant }) => tenant === sharing.name).map(({ id }) => id);
}

describe("GET /v1/admin/containers", () => {
  it("shows who is in one, its end, and its receipt, as they stand [FLT-15] [CAP-10] [DEL-7]", async () => {
    const sharing = new Sharing();
    const one = await sharing.member();
    const other = await sharing.member();
    const list = async () => (await page(`?tenant=${sharing.name}`)).data;
    const members = await Promise.all(
      [one, other].map(async ({ session }) => {
        const { generation } = await session.view();
        const sandbox = `${session.id}-g${generation}`;
        return { session_id: session.id, sandbox_id: sandbox, generation, state: "held", since: expect.any(String) };
      }),
    );
    await expect.poll(list).toMatchObject([{ members: [{ state: "held" }, { state: "held" }] }]);
    const [open] = await list();
    expect(open).toMatchObject({
      ...{ id: one.container, tenant: sharing.name, provider: "memory", host: "memory-host", phase: "open" },
      ...{ takes_no_newcomers: null, end: null, since: open?.created_at },
    });
    expect(open?.members).toEqual(members.toSorted((a, b) => (a.session_id < b.session_id ? -1 : 1)));

    containerFate(one.container, ({ op }) => (op === "destroyContainer" ? refused : { type: "none" }));
    await sharing.end(one.session);
    await sharing.end(other.session);
    await drive(sharing, one.container, (view) => view.end?.last_error != null);
    const [stopping] = await list();
    expect(stopping).toMatchObject({
      ...{ phase: "stopping", members: [], since: stopping?.end?.requested_at },
      end: { reason: "empty", attempts: 1, verified_absent_at: null, evidence: null, asserted_absent: null },
    });
    expect(stopping?.end?.last_error).toContain("not destroyed");
    expect(Date.parse(stopping?.end?.next_attempt_at ?? "")).toBeGreaterThan(now() - 5_000);
    expect(Date.parse(stopping?.end?.overdue_at ?? "")).toBeGreaterThan(now());

    containerFate(one.container, null);
    await drive(sharing, one.container, (view) => view.phase === "gone");
    const [gone] = await list();
    expect(gone).toMatchObject({ since: gone?.end?.verified_absent_at, end: { next_attempt_at: null, attempts: 2 } });
    expect(gone?.end?.evidence).toContain("two looks");
    expect(gone?.end?.observations.slice(-2)).toMatchObject([{ answer: "absent" }, { answer: "absent" }]);
  });

  it("pages over tenants with each container once, and filters by tenant and phase [FLT-1]", async () => {
    const tenants = [new Sharing(), new Sharing(), new Sharing()];
    const made: ContainerId[] = [];
    for (const sharing of tenants) {
      for (let count = 0; count < 2; count += 1) {
        const { session, container } = await sharing.member();
        made.push(container);
        if (count === 1) continue;
        await sharing.end(session);
        await drive(sharing, container, (view) => view.phase === "gone");
      }
    }
    const all = async (query: string) => {
      const found: ContainerView[] = [];
      for (let cursor: string | null = ""; cursor !== null;) {
        const more: string = cursor === "" ? "" : `&cursor=${cursor}`;
        const { data, next_cursor: next } = await page(`?limit=1${query}${more}`);
        expect(data.length).toBeLessThanOrEqual(1);
        found.push(...data);
        cursor = next;
      }
      return found.filter(({ id }) => made.includes(id as ContainerId));
    };
    const everything = await all("");
    expect(everything.map(({ id }) => id).toSorted()).toEqual(made.toSorted());
    const order = everything.map(({ tenant, id }) => `${tenant}:${id}`);
    expect(order).toEqual(order.toSorted());
    expect((await all("&phase=gone")).map(({ phase }) => phase)).toEqual(["gone", "gone", "gone"]);
    const [first] = tenants;
    expect((await all(`&tenant=${first?.name}`)).map(({ id }) => id).toSorted()).toEqual(made.slice(0, 2).toSorted());
    expect((await page("?tenant=nobody-at-all")).data).toEqual([]);
    const { next_cursor: cursor } = await page(`?limit=1&tenant=${first?.name}`);
    for (const bad of ["?cursor=nonsense", `?cursor=${cursor}&tenant=another`, "?phase=frozen", "?limit=0"])
      await expectProblem(await ask("GET", bad), "validation_failed");
  });
});

describe("POST /v1/admin/containers/{id}/resolve", () => {
  it("retry_stop: a new round at once when the provider is back, and the end is proven [FLT-15] [LEA-20] [LEA-10]", async () => {
    const sharing = new Sharing();
    const id = await stuck(sharing);
    const { view, etag } = await seen(id);
    // By itself it would be tried in an hour.
    expect(Date.parse(view.end?.next_attempt_at ?? "") - now()).toBeGreaterThan(hour / 2);
    containerFate(id, null);
    const tries = callsAbout(id).length;
    const reply = await resolve(id, "retry_stop", etag, `?tenant=${sharing.name}`);
    expect(await bodyOf(reply, containerView)).toMatchObject({
      phase: "stopping",
      end: { attempts: view.end?.attempts },
    });
    await expect.poll(async () => (await seen(id)).view.phase).toBe("gone");
    expect(callsAbout(id).slice(tries)).toEqual([
      "retireContainer",
      "destroyContainer",
      "observeContainer",
      "observeContainer",
    ]);
    expect((await seen(id)).view.end).toMatchObject({ attempts: policy.stopAttempts + 1, asserted_absent: null });
    expect(destructions(id)).toBe(1);
    await expectProblem(await resolve(id, "retry_stop", "*"), "not_stuck");
    await expectProblem(await resolve(id, "assert_absent", "*"), "not_stuck");
  });

  it("assert_absent: not while a lease may live; then kept apart from proof, out of the alert, and asked about hourly [FLT-15] [LEA-20]", async () => {
    const sharing = new Sharing();
    const { session, container: id } = await sharing.member();
    containerFate(id, () => refused);
    await sharing.end(session);
    await drive(sharing, id, (view) => view.end?.last_error != null);
    const early = await expectProblem(await resolve(id, "assert_absent", "*"), "lease_not_expired");
    const { view: before } = await seen(id);
    expect(Date.parse(early.retry_at ?? "")).toBe(
      Date.parse(before.end?.requested_at ?? "") + policy.leaseTtlMs + policy.stopGraceMs + policy.alarmSlipMs,
    );
    await drive(sharing, id, (view) => Date.parse(view.end?.overdue_at ?? "") < now());
    await expect.poll(() => overdueInIndex(sharing)).toEqual([id]);

    const { etag } = await seen(id);
    const asserted = await bodyOf(await resolve(id, "assert_absent", etag), containerView);
    expect(asserted).toMatchObject({
      phase: "stopping",
      end: {
        overdue_at: null,
        verified_absent_at: null,
        evidence: null,
        asserted_absent: { by: "admin", reason: why },
      },
    });
    expect(Date.parse(asserted.end?.next_attempt_at ?? "") - now()).toBeGreaterThan(policy.assertedProbeMs - 5_000);
    await expect.poll(() => overdueInIndex(sharing)).toEqual([]);
    await expectProblem(await resolve(id, "assert_absent", "*"), "not_stuck");

    // Asked again in an hour; nobody answers, and the word stands.
    const tries = callsAbout(id).length;
    setAhead(policy.assertedProbeMs);
    await sharing.wake();
    await expect.poll(() => callsAbout(id).length).toBeGreaterThan(tries);
    await expect.poll(async () => (await seen(id)).view.end?.next_attempt_at).not.toBeNull();
    const { view: later } = await seen(id);
    expect(later.end?.asserted_absent).not.toBeNull();
    expect(Date.parse(later.end?.next_attempt_at ?? "") - now()).toBeGreaterThan(policy.assertedProbeMs - 5_000);

    // The host comes back, and it is still there: the word was wrong. The end begins in earnest, and is proven.
    containerFate(id, ({ op }) => (op === "destroyContainer" ? refused : { type: "none" }));
    setAhead(policy.assertedProbeMs);
    await sharing.wake();
    await expect.poll(async () => (await seen(id)).view.end?.asserted_absent).toBeNull();
    expect((await seen(id)).view.end?.last_error).toContain("still there");
    await expect.poll(() => overdueInIndex(sharing)).toEqual([id]);
    containerFate(id, null);
    await drive(sharing, id, (view) => view.phase === "gone");
    expect((await seen(id)).view.end).toMatchObject({ asserted_absent: null, verified_absent_at: expect.any(String) });
    await expect.poll(() => overdueInIndex(sharing)).toEqual([]);
    expect(destructions(id)).toBe(1);
  });

  it("needs the ETag of what was decided on, and says what stands against it [LEA-20] [API-5]", async () => {
    const sharing = new Sharing();
    const open = await sharing.member();
    const json = { action: "retry_stop", reason: why };
    await expectProblem(await ask("POST", `/${open.container}/resolve`, json), "precondition_required");
    const { detail } = await expectProblem(await resolve(open.container, "assert_absent", "*"), "not_stuck");
    expect(detail).toContain("members that are wanted");
    await sharing.end(open.session);
    await drive(sharing, open.container, (view) => view.phase === "gone");
    const id = await stuck(sharing);
    const { etag } = await seen(id);
    containerFate(id, () => ({ type: "hang", deaf: true }));
    expect((await resolve(id, "retry_stop", etag)).status).toBe(200);
    const { detail: changed } = await expectProblem(await resolve(id, "retry_stop", etag), "precondition_failed");
    expect(changed).toContain("GET /v1/admin/containers/{id}");
    const busy = await expectProblem(await resolve(id, "retry_stop", "*"), "not_stuck");
    expect(busy.retry_at).not.toBeUndefined();
    await expectProblem(await resolve(id, "retry_stop", "*", "?tenant=nobody-at-all"), "not_found");
    for (const unknown of [`shared-${"x".repeat(20)}-g1`, "nonsense"]) {
      await expectProblem(await resolve(unknown as ContainerId, "retry_stop", "*"), "not_found");
      await expectProblem(await ask("GET", `/${unknown}`), "not_found");
    }
    for (const body of [{ action: "abandon", reason: why }, { action: "retry_stop" }, { ...json, by: "me" }])
      await expectProblem(await ask("POST", `/${id}/resolve`, body, { "if-match": "*" }), "validation_failed");

    const log = await riggedSend("GET", "/v1/admin/log?limit=100", { key: adminToken });
    const { data } = await bodyOf(log, adminLogPage);
    expect(data.filter(({ target }) => target === id).map(({ action, outcome }) => [action, outcome])).toEqual([
      ["container.resolve.retry_stop", "not_stuck"],
      ["container.resolve.retry_stop", "precondition_failed"],
      ["container.resolve.retry_stop", "done"],
    ]);
    expect(data.find(({ target }) => target === id)).toMatchObject({ actor: "admin", reason: why });
  });
});
