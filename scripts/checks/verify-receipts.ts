/**
 * `npm run verify -- RECEIPTS.json --keys KEYS.json [--gaps]`: checks receipts offline. RECEIPTS.json is one receipt, a list of them,
 * or an answer of `/v1/receipt-chain`; KEYS.json is what `/.well-known/mooring-keys` answered. `--gaps`: a selection, not a chain.
 * Exit 0: all verify. 1: at least one does not. 2: the command line or a file is wrong.
 */
import { readFileSync } from "node:fs";
import { type PublicKey, verifyReceipts } from "../../src/receipts/verify.ts";
import { readCommandLine } from "../command-line.ts";

const usage = "Usage: npm run verify -- RECEIPTS.json --keys KEYS.json [--gaps]";

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    console.error(`${file} cannot be read as JSON: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(2);
  }
}

function listIn(document: unknown, member: "data" | "keys"): readonly unknown[] {
  if (Array.isArray(document)) return document;
  const inside = (document as Readonly<Record<string, unknown>> | null)?.[member];
  return Array.isArray(inside) ? inside : [document];
}

const { values, positionals } = readCommandLine(usage, {
  args: process.argv.slice(2),
  options: { keys: { type: "string" }, gaps: { type: "boolean", default: false } },
  allowPositionals: true,
});
const [file] = positionals;
if (file === undefined || positionals.length > 1 || values.keys === undefined) {
  console.error(usage);
  process.exit(2);
}
const receipts = listIn(readJson(file), "data");
const keys = listIn(readJson(values.keys), "keys") as readonly PublicKey[];
const { ok, faults } = await verifyReceipts(receipts, keys, { linked: !values.gaps });
for (const { receipt, code, detail } of faults) console.log(`receipt ${receipt + 1}: ${code}: ${detail}`);
console.log(ok ? `${receipts.length} verified` : `${receipts.length} looked at, faults: ${faults.length}`);
process.exitCode = ok && receipts.length > 0 ? 0 : 1;
