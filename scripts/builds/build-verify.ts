/**
 * The verifier of receipts as one file of JavaScript, for whoever trusts neither us nor our packages: `src/receipts/verify.ts` without its
 * types, comments and layout as they are, and a few lines below it that read the two files. `node verify.mjs RECEIPTS.json KEYS.json`.
 */
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { format } from "prettier";
import { repository } from "../repository.ts";

export async function verifyProgram(): Promise<string> {
  const source = readFileSync(join(repository, "src/receipts/verify.ts"), "utf8");
  // Node puts spaces where a type stood; the formatter closes them.
  return await format(`${stripTypeScriptTypes(source)}${commandLine}`, { parser: "babel", printWidth: 120 });
}

const commandLine = `
// node verify.mjs RECEIPTS.json KEYS.json [--gaps]
// RECEIPTS.json: a receipt, a list, or an answer of /v1/receipt-chain. KEYS.json: what /.well-known/mooring-keys answered.
// --gaps: a selection, not a chain. Exit 0: all verify. 1: at least one does not. 2: the files cannot be read.
const { readFileSync, realpathSync } = await import("node:fs");
const { argv } = await import("node:process");
if (argv[1] !== undefined && import.meta.filename === realpathSync(argv[1])) {
  const usage = "node verify.mjs RECEIPTS.json KEYS.json [--gaps]";
  const [receiptsFile, keysFile, gaps] = argv.slice(2);
  const listIn = (file, member) => {
    const read = JSON.parse(readFileSync(file, "utf8"));
    return Array.isArray(read) ? read : Array.isArray(read?.[member]) ? read[member] : [read];
  };
  try {
    if (keysFile === undefined) throw new Error("two files are needed.");
    const receipts = listIn(receiptsFile, "data");
    const { ok, faults } = await verifyReceipts(receipts, listIn(keysFile, "keys"), { linked: gaps !== "--gaps" });
    for (const { receipt, code, detail } of faults) console.log(\`receipt \${receipt + 1}: \${code}: \${detail}\`);
    console.log(ok ? \`\${receipts.length} verified\` : \`\${receipts.length} looked at, faults: \${faults.length}\`);
    process.exitCode = ok && receipts.length > 0 ? 0 : 1;
  } catch (error) {
    console.error(\`\${usage}: \${error.message}\`);
    process.exitCode = 2;
  }
}
`;
