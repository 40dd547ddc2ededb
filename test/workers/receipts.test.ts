/** Receipts as deployed: made by real sessions, signed by the tenant's object, read over HTTP, checked by the auditor's file. */
import { describe, expect, it } from "vitest";
import type { ReceiptPage } from "../../src/protocol/resources/session/receipts.ts";
import type { SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { type PublicKey, verifyReceipts } from "../../src/receipts/verify.ts";
import { keyOf, send } from "../support/workers/mooring.ts";

async function read<T>(path: string, key: string): Promise<T> {
  const response = await send("GET", path, { key });
  expect(response.status).toBe(200);
  return await response.json();
}

describe("receipts over HTTP", () => {
  it("[EVI-1] every ended session leaves a signed receipt in its tenant's chain, and the chain verifies with the public keys alone", async () => {
    const key = await keyOf("receipts-1");
    const keyId = key.split("_")[2]!;
    for (const index of [0, 1]) {
      const created = await send("POST", "/v1/sessions", {
        key,
        json: { labels: { team: `t${index}` } },
        headers: { prefer: "wait=60" },
      });
      const { id } = await created.json<SessionView>();
      await send("POST", `/v1/sessions/${id}/jobs`, { key, json: { id: "job", command: "exit 3" } });
      await expect
        .poll(async () => (await read<{ state: string }>(`/v1/sessions/${id}/jobs/job`, key)).state)
        .toBe("failed");
      await send("DELETE", `/v1/sessions/${id}`, { key });
      await expect
        .poll(() => read<{ data: unknown[] }>(`/v1/sessions/${id}/receipts`, key))
        .toMatchObject({
          unsigned: 0,
          data: [
            {
              statement: {
                tenant: "receipts-1",
                session: { id, labels: { team: `t${index}` } },
                asked: { by: `key:${keyId}`, stop_reason: "terminated", terminate_reason: "requested" },
                jobs: { count: 1, last: { id: "job", state: "failed", exit_code: 3 } },
                snapshot: null,
              },
            },
          ],
        });
    }
    const chain = await read<ReceiptPage>("/v1/receipt-chain", key);
    const { keys } = await read<{ keys: PublicKey[] }>("/.well-known/mooring-keys", key);
    expect(await verifyReceipts(chain.data, keys)).toEqual({ ok: true, checked: 2, faults: [] });
    expect(chain.head).toEqual({ sequence: 2, hash: chain.data[1]?.hash });
    // Nobody else's.
    expect(await read<ReceiptPage>("/v1/receipt-chain", await keyOf("receipts-2"))).toMatchObject({
      data: [],
      head: null,
    });
  });
});
