/** What the list of shared containers costs, and what it does when a registry is silent. The rest: test/workers/containers-over-http.test.ts. */
import { describe, expect, it } from "vitest";
import { newContainer } from "../../../../src/domain/state/container.ts";
import type { ContainerId, TenantId } from "../../../../src/domain/state/ids.ts";
import { containerPage } from "../../../../src/protocol/resources/operator/containers.ts";
import type { ListedContainer } from "../../../../src/tenant/containers/containers.ts";
import type { TenantApi } from "../../../../src/tenant/tenant-api.ts";
import { expectProblem, httpClient, type HttpClient, stillClock, testNow } from "../../../support/http-client.ts";

const tenants = Array.from({ length: 100 }, (_, at) => `t${String(at).padStart(3, "0")}` as TenantId);
const idOf = (at: number) => `shared-${String(at).padStart(20, "0")}-g7` as ContainerId;

function listed(id: ContainerId): ListedContainer {
  return { container: newContainer(id, "memory", testNow), members: [], revision: 3, overdueFrom: null };
}

/** A hundred tenants, each with `each` containers; every registry that is asked is noted. */
async function fleet(each: number, changes: Partial<TenantApi> = {}) {
  const asked: TenantId[] = [];
  const held = new Map(
    tenants.map((tenant, at) => [tenant, Array.from({ length: each }, (_, index) => idOf(at * 100 + index))]),
  );
  const client = await httpClient({
    clock: { ...stillClock, now: () => testNow },
    answers: {
      tenant: (name) => ({
        containers: async (after, limit) => {
          asked.push(name);
          const ids = held.get(name) ?? [];
          return ids
            .filter((id) => id > (after ?? ""))
            .map(listed)
            .slice(0, limit);
        },
        container: async (id) => (asked.push(name), held.get(name)?.includes(id) === true ? listed(id) : null),
        ...changes,
      }),
    },
  });
  for (const tenant of tenants) await client.control.allow({ tenant, version: 1, held: 0, wants: 0 });
  const ask = (query: string) => client.send("GET", `/v1/admin/containers${query}`);
  return { client, ask, asked };
}

async function pageOf(reply: Response) {
  return containerPage.parse(await reply.json());
}

describe("the list of shared containers", () => {
  it("asks one registry for one tenant, and no more than fill a page for all [FLT-1]", async () => {
    const { ask, asked } = await fleet(3);
    expect((await pageOf(await ask("?tenant=t042&limit=50"))).data).toHaveLength(3);
    expect(asked).toEqual(["t042"]);
    asked.length = 0;
    const first = await pageOf(await ask("?limit=50"));
    expect(first.data).toHaveLength(50);
    expect(asked).toEqual(tenants.slice(0, 24));
    asked.length = 0;
    // The next page begins where this one ended, not at the first tenant.
    const second = await pageOf(await ask(`?limit=50&cursor=${first.next_cursor}`));
    expect(asked).toEqual(tenants.slice(16, 40));
    expect(second.data[0]?.id).toBe(idOf(16 * 100 + 2));
  });

  it("in all its pages together has each container once, in one order [FLT-1]", async () => {
    const { ask } = await fleet(3);
    const ids: string[] = [];
    for (let query: string | null = "?limit=7"; query !== null;) {
      const page = await pageOf(await ask(query));
      ids.push(...page.data.map(({ id }) => id));
      query = page.next_cursor === null ? null : `?limit=7&cursor=${page.next_cursor}`;
    }
    expect(ids).toHaveLength(300);
    expect(ids).toEqual([...new Set(ids)].toSorted());
  });

  it("is a 503 when a registry that it needs is silent, never a short page; others can still be asked for by name [FLT-18]", async () => {
    const dead = async () => Promise.reject(new Error("no answer"));
    const { client, ask } = await fleet(1);
    const broken = await httpClient({
      answers: { tenant: (name) => (name === "t005" ? { containers: dead, container: dead } : {}) },
    });
    for (const tenant of tenants) await broken.control.allow({ tenant, version: 1, held: 0, wants: 0 });
    const send = (http: HttpClient, path: string) => http.send("GET", `/v1/admin/containers${path}`);
    const { detail } = await expectProblem(await send(broken, ""), "unavailable");
    expect(detail).toContain("the registry of t005");
    const unknown = await expectProblem(await send(broken, `/${idOf(1)}`), "unavailable");
    expect(unknown.detail).toContain("`?tenant=…`");
    await expectProblem(await send(broken, `/${idOf(1)}?tenant=t006`), "not_found");
    expect((await send(broken, "?tenant=t006")).status).toBe(200);
    expect((await ask("")).status).toBe(200);
    expect((await send(client, `/${idOf(9_900)}`)).headers.get("etag")).toMatch(/^"3-[0-9a-f]{16}"$/);
  });

  it("finds the one that an id names without its tenant, and asks only its tenant when that is said [FLT-1]", async () => {
    const { client, asked } = await fleet(1);
    expect((await client.send("GET", `/v1/admin/containers/${idOf(100)}`)).status).toBe(200);
    expect(asked).toEqual(tenants.slice(0, 24));
    asked.length = 0;
    expect((await client.send("GET", `/v1/admin/containers/${idOf(9_900)}?tenant=t099`)).status).toBe(200);
    expect(asked).toEqual(["t099"]);
  });
});

it("a resolve that its registry did not answer says that it may have been done, and is in the admin log [API-5] [LEA-20]", async () => {
  const { client } = await fleet(1, { resolveContainer: async () => Promise.reject(new Error("reset")) });
  const reply = await client.send("POST", `/v1/admin/containers/${idOf(100)}/resolve`, {
    json: { action: "retry_stop", reason: "the host is back" },
    headers: { "if-match": '"3"' },
  });
  expect((await expectProblem(reply, "unavailable")).detail).toContain("may have been done or not");
  expect(await client.control.logPage(null, 10)).toMatchObject([
    { action: "container.resolve.retry_stop", target: idOf(100), outcome: "unavailable", reason: "the host is back" },
  ]);
});
