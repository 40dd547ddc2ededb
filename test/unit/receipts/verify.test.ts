import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { verifyProgram } from "../../../scripts/builds/build-verify.ts";
import { receiptSigner } from "../../../src/receipts/signer.ts";
import { canonicalJson, fromBase64Url, type SignedReceipt, verifyReceipts } from "../../../src/receipts/verify.ts";

const secret = "receipt-signing-key-of-the-tests-01";
const signer = receiptSigner([secret]);

/** A chain as a tenant keeps it. */
async function chainOf(length: number, by = signer, tenant = "acme"): Promise<SignedReceipt[]> {
  const receipts: SignedReceipt[] = [];
  for (let sequence = 1; sequence <= length; sequence += 1) {
    const previous = receipts.at(-1)?.hash ?? null;
    const facts = {
      labels: { team: "wéb", a: "1" },
      exit_code: sequence === 2 ? null : 0,
      attempts: [{ error: null }],
    };
    const signed = await by.sign({ type: "mooring.receipt/1", tenant, sequence, previous, ...facts });
    if (signed !== null) receipts.push(signed);
  }
  return receipts;
}

const codes = (verdict: Awaited<ReturnType<typeof verifyReceipts>>) => verdict.faults.map((fault) => fault.code);

describe("receipts that others can check", () => {
  it("[EVI-1] by one file that imports nothing but Node's own, and says the same", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mooring-verify-"));
    const program = await verifyProgram();
    const imported = [...program.matchAll(/\b(?:import|from|require)\s*\(?\s*["']([^"']+)["']/g)].map(
      ([, name]) => name,
    );
    expect(imported).toEqual(["node:fs", "node:process"]);
    const file = (name: string, content: unknown) => {
      const path = join(folder, name);
      writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
      return path;
    };
    const verify = file("verify.mjs", program);
    const keys = file("keys.json", { keys: await signer.publicKeys() });
    const chain = await chainOf(4);
    const run = (receipts: unknown, ...more: string[]) => {
      const { status, stdout } = spawnSync(process.execPath, [verify, file("receipts.json", receipts), keys, ...more], {
        encoding: "utf8",
      });
      return [status, stdout.trim()];
    };
    expect(run({ data: chain })).toEqual([0, "4 verified"]);
    expect(run(chain[2])).toEqual([0, "1 verified"]);
    expect(run([chain[0], chain[3]], "--gaps")).toEqual([0, "2 verified"]);
    expect(run([chain[0], chain[3]])).toEqual([1, expect.stringMatching(/missing_before.*\n2 looked at, faults: 1$/)]);
    const forged = { ...chain[1], statement: { ...chain[1]?.statement, exit_code: 1 } };
    expect(run(forged)).toEqual([1, expect.stringContaining("hash_differs")]);
    expect(spawnSync(process.execPath, [verify, join(folder, "none.json"), keys]).status).toBe(2);
    const bare = spawnSync(process.execPath, [verify], { encoding: "utf8" });
    expect([bare.status, bare.stderr]).toEqual([2, expect.stringMatching(/RECEIPTS\.json KEYS\.json.*two files/)]);
  });

  it("[EVI-1] every receipt of a run verifies, alone and as a chain", async () => {
    const chain = await chainOf(5);
    const keys = await signer.publicKeys();
    expect(await verifyReceipts(chain, keys)).toEqual({ ok: true, checked: 5, faults: [] });
    expect((await verifyReceipts(chain.slice(2), keys)).ok).toBe(true);
    for (const receipt of chain) expect((await verifyReceipts([receipt], keys)).ok).toBe(true);
  });

  it("[EVI-1] a receipt with one byte changed is refused, wherever the byte is", async () => {
    const [receipt] = await chainOf(1);
    const keys = await signer.publicKeys();
    const bytes = new TextEncoder().encode(canonicalJson(receipt));
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (place, difference) => {
        const changed = bytes.slice();
        changed[place] = (changed[place] ?? 0) ^ difference;
        let read: unknown;
        try {
          read = JSON.parse(new TextDecoder().decode(changed));
        } catch {
          return;
        }
        expect((await verifyReceipts([read], keys)).ok).toBe(false);
      }),
      { numRuns: 1_500 },
    );
  });

  it("[EVI-1] one that was left out, two that were swapped, one that was repeated and one of another tenant are told apart", async () => {
    const [one, two, three] = await chainOf(3);
    const keys = await signer.publicKeys();
    expect(codes(await verifyReceipts([one, three], keys))).toEqual(["missing_before"]);
    expect(codes(await verifyReceipts([two, one, three], keys))).toEqual(["out_of_order", "missing_before"]);
    expect(codes(await verifyReceipts([one, one], keys))).toEqual(["out_of_order"]);
    expect(await verifyReceipts([one, three], keys, { linked: false })).toMatchObject({ ok: true });
    const [, otherTwo] = await chainOf(2, signer, "umbrella");
    expect(codes(await verifyReceipts([one, otherTwo], keys))).toEqual(["other_tenant"]);
  });

  it("[EVI-1] a receipt that was made anew in the middle breaks the chain, although its own signature is right", async () => {
    const [one, two, three] = await chainOf(3);
    const again = await signer.sign({ ...two!.statement, labels: {} });
    const keys = await signer.publicKeys();
    expect(codes(await verifyReceipts([one, again, three], keys))).toEqual(["chain_broken"]);
  });

  it("[EVI-1] another key's signature is refused, also when the list of keys calls it by our id", async () => {
    const other = receiptSigner(["some-other-key-of-the-tests-0000002"]);
    const [theirs] = await chainOf(1, other);
    const [ours] = await signer.publicKeys();
    const [their] = await other.publicKeys();
    expect(codes(await verifyReceipts([theirs], [ours!]))).toEqual(["unknown_key"]);
    expect(codes(await verifyReceipts([{ ...theirs!, key_id: ours!.key_id }], [ours!]))).toEqual(["signature_wrong"]);
    const mixed = { key_id: ours!.key_id, public_key: their!.public_key };
    expect(codes(await verifyReceipts([{ ...theirs!, key_id: ours!.key_id }], [mixed]))).toEqual(["key_id_differs"]);
  });

  it("[EVI-2] after a rotation the new key signs, and what the old one signed still verifies", async () => {
    const before = await chainOf(2);
    const rotated = receiptSigner(["receipt-signing-key-of-the-tests-02", secret]);
    const last = before.at(-1)!;
    const after = await rotated.sign({ ...last.statement, sequence: 3, previous: last.hash });
    const keys = await rotated.publicKeys();
    expect(after?.key_id).toBe(keys[0]?.key_id);
    expect(after?.key_id).not.toBe(last.key_id);
    expect(await verifyReceipts([...before, after], keys)).toMatchObject({ ok: true, checked: 3 });
  });

  it("signs nothing without a key, and refuses what has no single text", async () => {
    expect(await receiptSigner([]).sign({ type: "mooring.receipt/1" })).toBeNull();
    expect(await receiptSigner([]).publicKeys()).toEqual([]);
    expect(() => canonicalJson({ seconds: 1.5 })).toThrow(/whole numbers/);
    expect(() => canonicalJson({ at: undefined })).toThrow(/no place/);
    expect(canonicalJson({ b: [1, null, true], a: "é\n" })).toBe('{"a":"é\\n","b":[1,null,true]}');
    // One text per byte string: the spare bits of the last digit must be zero.
    expect(fromBase64Url("AA")).toEqual(new Uint8Array([0]));
    expect(fromBase64Url("AB")).toBeNull();
  });
});
