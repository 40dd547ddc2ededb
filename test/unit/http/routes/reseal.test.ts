/** The operator's round that seals everything anew, page by page, over every tenant. */
import { describe, expect, it } from "vitest";
import type { SessionId, TenantId } from "../../../../src/domain/state/ids.ts";
import { resealView, type ResealView } from "../../../../src/protocol/resources/operator/secrets.ts";
import { expectProblem, httpClient } from "../../../support/http-client.ts";

const idOf = (letter: string, at: number) => `${letter}${String(at).padStart(19, "0")}` as SessionId;
const registered = {
  createdAt: 0,
  version: 1,
  status: "running",
  highestGeneration: 1,
  reportedAt: 0,
  erasedAt: null,
  vanishedAt: null,
} as const;
const path = "/v1/admin/secrets/reseal";

describe("the round of a rotation", () => {
  it("of an empty Mooring is complete at once, and is in the admin log", async () => {
    const client = await httpClient();
    const response = await client.send("POST", path);
    expect(response.status).toBe(200);
    expect(resealView.parse(await response.json())).toMatchObject({
      sessions: 0,
      tenants: 0,
      left: [],
      next_cursor: null,
    });
    const [entry] = await client.control.logPage(null, 10);
    expect(JSON.stringify(entry)).toContain("secrets.reseal");
  });

  it("refuses a cursor that is none and fields that it does not know [API-5]", async () => {
    const client = await httpClient();
    for (const cursor of ["", "x", "acme/../../etc", "ACME/", "acme/short", `acme/${"a".repeat(21)}`]) {
      await expectProblem(await client.send("POST", path, { json: { cursor } }), "validation_failed");
    }
    await expectProblem(await client.send("POST", path, { json: { pages: 1 } }), "validation_failed");
    expect(client.calls).toEqual([]);
  });

  it("asks every session of every tenant once, over as many pages as it takes, and names what is left [SEC-1]", async () => {
    const broken = new Set(["s0000000000000000007"]);
    const silent = new Set(["s0000000000000000011"]);
    const asked: string[] = [];
    const tenants: Readonly<Record<string, readonly SessionId[]>> = {
      acme: Array.from({ length: 130 }, (_, at) => idOf("s", at)),
      beta: [],
      gamma: Array.from({ length: 3 }, (_, at) => idOf("t", at)),
    };
    const client = await httpClient({
      answers: {
        tenant: (name) => ({
          sessions: async (after, limit) => {
            const ids = (tenants[name] ?? []).filter((id) => after === null || id > after).slice(0, limit);
            return ids.map((sessionId) => ({ ...registered, sessionId }));
          },
        }),
        session: {
          reseal: async () => {
            const id = client.calls.at(-1)?.object ?? "";
            asked.push(id);
            if (silent.has(id)) throw new Error("no answer");
            return { ok: true, value: { current: 1, renewed: 1, unreadable: broken.has(id) ? 1 : 0 } };
          },
        },
      },
    });
    for (const tenant of Object.keys(tenants))
      await client.control.allow({ tenant: tenant as TenantId, version: 1, held: 0, wants: 0 });
    const pages: ResealView[] = [];
    for (let cursor: string | null | undefined; cursor !== null && pages.length < 20;) {
      const response = await client.send("POST", path, { json: cursor === undefined ? {} : { cursor } });
      const page = resealView.parse(await response.json());
      pages.push(page);
      cursor = page.next_cursor;
    }
    expect(new Set(asked).size).toBe(133);
    expect(asked).toHaveLength(133);
    const sum = (field: "sessions" | "renewed" | "unreadable") => pages.reduce((total, page) => total + page[field], 0);
    expect([sum("sessions"), sum("renewed"), sum("unreadable")]).toEqual([133, 132, 1]);
    const left = pages.flatMap((page) => page.left.map((each) => each.name));
    expect(left.sort()).toEqual(["session/s0000000000000000007", "session/s0000000000000000011"]);
    expect(pages.length).toBeGreaterThan(2);
  });
});
