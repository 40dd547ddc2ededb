/** `mooring verify`: checks signed receipts. With `--keys` it makes no request. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type PublicKey, verifyReceipts } from "../../../receipts/verify.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";

export function verifyCommand(shell: Shell): Command {
  const made = command("verify", "Check signed receipts: signatures, and that none is missing from the chain", [
    ["mooring api list-receipts > receipts.json", "your chain of receipts"],
    ["mooring verify receipts.json", "with the public keys of the Mooring you are logged in to"],
    ["mooring verify receipts.json --keys keys.json", "offline, with a copy of /.well-known/mooring-keys"],
  ])
    .argument("<file>", "a receipt, a list of them, or an answer of the API; `-` is stdin")
    .option("--keys <file>", "public keys; left out: asked for")
    .option("--gaps", "a selection of receipts, not a whole chain");
  return withSharedOptions(made).action(async (file: string, flags: { keys?: string; gaps?: boolean }) => {
    const context = contextOf(shell, flags);
    const receipts = listIn(readJson(file), "data");
    const document =
      flags.keys === undefined
        ? await context
            .transport("open")
            .json({ operation: "getReceiptKeys", repeatable: true }, { signal: context.signal })
        : readJson(flags.keys);
    const keys = listIn(document, "keys") as readonly PublicKey[];
    const { ok, faults } = await verifyReceipts(receipts, keys, { linked: flags.gaps !== true });
    const { screen } = context;
    if (screen.form.json) screen.json({ ok: ok && receipts.length > 0, receipts: receipts.length, faults });
    else
      for (const { receipt, code, detail } of faults)
        screen.line(`${screen.colours.bad("✗")} receipt ${receipt + 1}  ${code}: ${screen.plain(detail)}`);
    if (!ok || receipts.length === 0)
      throw new CliFault(
        exitCodes.found,
        receipts.length === 0
          ? "There is no receipt in it."
          : `${receipts.length} looked at, faults: ${faults.length}.`,
      );
    if (!screen.form.json) screen.line(`${screen.colours.good("✓")} ${receipts.length} verified`);
  });
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8")) as unknown;
  } catch (error) {
    throw new CliFault(
      exitCodes.usage,
      `${file} cannot be read as JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function listIn(document: unknown, member: "data" | "keys"): readonly unknown[] {
  if (Array.isArray(document)) return document as readonly unknown[];
  const inside = (document as Readonly<Record<string, unknown>> | null)?.[member];
  return Array.isArray(inside) ? (inside as readonly unknown[]) : [document];
}
