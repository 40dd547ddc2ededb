import { beforeEach, describe, expect, it } from "vitest";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { TenantId } from "../../../src/domain/state/ids.ts";
import type { ReceiptBody, SignedReceiptView } from "../../../src/protocol/resources/session/receipts.ts";
import { receiptSigner } from "../../../src/receipts/signer.ts";
import { verifyReceipts } from "../../../src/receipts/verify.ts";
import { keepSigned } from "../../../src/tenant/receipts/chain-rows.ts";
import { ChainSigner } from "../../../src/tenant/receipts/chain-signer.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import { receiptRetentionMs } from "../../../src/tenant/apply-report.ts";
import { TenantCore } from "../../../src/tenant/tenant-core.ts";
import { nodeSql, type NodeSql } from "../../support/node-sql.ts";
import { born, generation, lease, report, sessionId } from "../../support/reports.ts";

const a = sessionId("a");
const b = sessionId("b");
const signer = receiptSigner(["receipt-signing-key-of-the-tests-03"]);

describe("a tenant's chain of receipts", () => {
  let now: number;
  let sql: NodeSql;
  let tenant: TenantCore;
  let keyIsSet: boolean;

  const chainSigner = () =>
    new ChainSigner({
      sign: async (statement) => (keyIsSet ? ((await signer.sign(statement)) as SignedReceiptView) : null),
      look: (body, empty) => tenant.rows.read(body, empty),
      store: async (body) => tenant.rows.write(body),
      tenant: () => "acme" as TenantId,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
    });
  const body = (text: string) => ({ evidence: text }) as ReceiptBody;
  const close = (id: typeof a, version: number, count: number, text = `${id} ${count}`) =>
    tenant.report(report(id, version, { leases: [lease(id, count, "closed", { statement: body(text) })] }));

  beforeEach(() => {
    now = born;
    keyIsSet = true;
    sql = nodeSql();
    tenant = new TenantCore(sql, { now: () => now }, { ...quotaTerms(defaultPolicy, 10), orphanAfterMs: 720_000 });
  });

  it("[EVI-1] every proof enters once, in the order in which it was heard, and the chain verifies", async () => {
    close(a, 1, 1);
    close(b, 1, 1);
    close(a, 2, 1, "another text, later");
    close(a, 3, 2);
    await chainSigner().sign();
    const chain = tenant.receipts.receiptChain(0, 10);
    expect(chain.data.map((each) => each.statement.evidence)).toEqual([`${a} 1`, `${b} 1`, `${a} 2`]);
    expect(chain).toMatchObject({ next_cursor: null, head: { sequence: 3, hash: chain.data[2]!.hash }, unsigned: 0 });
    expect(await verifyReceipts(chain.data, await signer.publicKeys())).toMatchObject({ ok: true, checked: 3 });
    expect(tenant.receipts.sessionReceipts(a).data).toHaveLength(2);
  });

  it("[EVI-1] a row that is deleted from the chain shows, also when it is the last", async () => {
    for (const count of [1, 2, 3]) close(a, count, count);
    await chainSigner().sign();
    const keys = await signer.publicKeys();
    sql.run("DELETE FROM statement WHERE sequence = 2");
    expect((await verifyReceipts(tenant.receipts.receiptChain(0, 10).data, keys)).faults).toMatchObject([
      { code: "missing_before" },
    ]);
    sql.run("DELETE FROM statement WHERE sequence = 3");
    const cut = tenant.receipts.receiptChain(0, 10);
    expect(cut.data.at(-1)?.hash).not.toBe(cut.head?.hash);
    // What comes next names the one that is gone.
    close(a, 9, 9);
    await chainSigner().sign();
    expect((await verifyReceipts(tenant.receipts.receiptChain(0, 10).data, keys)).ok).toBe(false);
  });

  it("without a key it keeps the statements and signs them, in order, once there is one", async () => {
    keyIsSet = false;
    close(a, 1, 1);
    close(a, 2, 2);
    const waiting = chainSigner();
    expect(waiting.due).toBe(true);
    await waiting.sign();
    expect(waiting.due).toBe(false);
    expect(tenant.receipts.receiptChain(0, 10)).toMatchObject({ data: [], unsigned: 2, head: null });
    keyIsSet = true;
    await chainSigner().sign();
    expect(tenant.receipts.receiptChain(0, 10)).toMatchObject({ unsigned: 0, head: { sequence: 2 } });
  });

  it("pages in the order of the sequence, and forgets from the oldest on without ever giving a sequence twice", async () => {
    for (const count of [1, 2, 3]) close(a, count, count);
    await chainSigner().sign();
    const first = tenant.receipts.receiptChain(0, 2);
    expect(first.next_cursor).toBe("2");
    expect(tenant.receipts.receiptChain(2, 2).data.map((each) => each.statement.sequence)).toEqual([3]);
    now += receiptRetentionMs + 1;
    for (let round = 0; round < 5 && tenant.prune(); round += 1);
    expect(tenant.receipts.receiptChain(0, 10)).toMatchObject({ data: [], head: { sequence: 3 } });
    close(b, 1, 1);
    await chainSigner().sign();
    const [next] = tenant.receipts.receiptChain(0, 10).data;
    expect(next?.statement).toMatchObject({ sequence: 4, previous: first.head?.hash });
  });

  it("[EVI-1] what nobody could sign yet is never forgotten, however old it is", async () => {
    close(a, 1, 1);
    await chainSigner().sign();
    keyIsSet = false;
    close(a, 2, 2);
    await chainSigner().sign();
    now += receiptRetentionMs + 1;
    for (let round = 0; round < 5 && tenant.prune(); round += 1);
    expect(tenant.receipts.receiptChain(0, 10)).toMatchObject({ data: [], unsigned: 1 });
    keyIsSet = true;
    await chainSigner().sign();
    expect(tenant.receipts.receiptChain(0, 10).data.map(({ statement }) => statement.sequence)).toEqual([2]);
  });

  it("[EVI-1] a receipt is forgotten together with its statement; one that is in no chain, when it is old", async () => {
    close(a, 1, 1);
    await chainSigner().sign();
    keyIsSet = false;
    close(a, 2, 2);
    tenant.report(report(b, 1, { leases: [lease(b, 1, "closed")] }));
    // An index of their age would be one more row for each of them.
    expect(sql.run("SELECT session_id FROM receipt WHERE chained = 0")).toEqual([{ session_id: b }]);
    const known = () => [
      ...[1, 2].map((count) => tenant.receipts.receipt(a, generation(count)) !== null),
      tenant.receipts.receipt(b, null) !== null,
    ];
    now += receiptRetentionMs;
    for (let round = 0; round < 5 && tenant.prune(); round += 1);
    expect(known()).toEqual([true, true, true]);
    now += 1;
    for (let round = 0; round < 5 && tenant.prune(); round += 1);
    // The statement of the second cannot be signed yet.
    expect(known()).toEqual([false, true, false]);
    keyIsSet = true;
    await chainSigner().sign();
    for (let round = 0; round < 5 && tenant.prune(); round += 1);
    expect(known()).toEqual([false, false, false]);
  });

  it("[EVI-1] a signature that was overtaken is not kept: each receipt names the hash of the one before it", async () => {
    close(a, 1, 1);
    close(a, 2, 2);
    const [first, second] = await Promise.all(
      [1, 2].map((sequence) =>
        signer.sign({ ...body("e"), type: "mooring.receipt/1", tenant: "acme", sequence, previous: null }),
      ),
    );
    const keep = (receipt: unknown) => tenant.rows.write((rows) => keepSigned(rows, receipt as SignedReceiptView));
    // Not its turn yet; then its turn, but signed as if it were the first.
    expect(keep(second)).toBe(false);
    expect(keep(first)).toBe(true);
    expect(keep(second)).toBe(false);
    expect(tenant.receipts.receiptChain(0, 10)).toMatchObject({ unsigned: 1, head: { sequence: 1 } });
  });

  it("two that sign at once make one chain", async () => {
    for (const count of [1, 2, 3, 4]) close(a, count, count);
    await Promise.all([chainSigner().sign(), chainSigner().sign()]);
    await chainSigner().sign();
    const { data } = tenant.receipts.receiptChain(0, 10);
    expect(await verifyReceipts(data, await signer.publicKeys())).toMatchObject({ ok: true, checked: 4 });
  });
});
