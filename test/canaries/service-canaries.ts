/** Mistakes in what a sandbox offers and in what is told of it: traffic, the agent, the network, receipts. */
import { byTests, canary, type Canary, type Noticed } from "./canary.ts";

const gate = "traffic/traffic-gate.ts";
const chain = "tenant/receipts/chain-rows.ts";
const verify = "receipts/verify.ts";
const network = "session/steps/network.ts";

function agent(name: string, file: string, from: string, to: string, by: Noticed): Canary {
  return { name, edits: [{ file: `wrapper/${file}`, from, to }], by };
}

export const serviceCanaries: readonly Canary[] = [
  canary(
    "an answer without proof is taken for the agent's [TRA-5]",
    gate,
    "if (response.headers.get(trafficHeaders.proof) !== (await this.#dependencies.keys.proof(pass.key, nonce)))",
    "if (response.headers.get(trafficHeaders.proof) === null && nonce === '')",
    byTests("unit/traffic/traffic-gate"),
  ),
  canary(
    "a pass that was refused is kept [TRA-6]",
    gate,
    "      this.#passes.drop(id, kept);\n    }\n    const given",
    "    }\n    const given",
    byTests("unit/traffic/traffic-gate"),
  ),
  canary(
    "a body that can be read once is risked on a pass that may be stale [TRA-5]",
    gate,
    "length !== null && Number(length) <= heldBodyBytes",
    "length === null || Number(length) <= heldBodyBytes",
    byTests("unit/traffic/traffic-gate"),
  ),
  canary(
    "a client's own headers of ours reach the sandbox [TRA-5]",
    gate,
    'if (name.startsWith("mooring-")) headers.delete(name);',
    'if (name.startsWith("mooring-x")) headers.delete(name);',
    byTests("unit/traffic/traffic-gate"),
  ),
  canary(
    "network rules that were overtaken count as applied",
    network,
    "if (calls.session().network?.version !== network.version) return applyRules(context, lease);",
    "",
    byTests("unit/session/life/network-applied"),
  ),
  canary(
    "network rules that were refused count as applied",
    network,
    "if (!changed.ok) return changed.failure.message;",
    'if (!changed.ok) return (confirmRules(context, lease.generation, network.version, "all"), null);',
    byTests("unit/session/life/network-applied"),
  ),
  canary(
    "a receipt is signed out of its turn [EVI-1]",
    chain,
    "if ((head?.hash ?? null) !== previous || sequence !== (head?.sequence ?? 0) + 1) return false;",
    "",
    byTests("unit/tenant/receipt-chain"),
  ),
  canary(
    "a repeated report enters its receipt again [EVI-1]",
    chain,
    'if (sql.run("SELECT 1 FROM statement WHERE session_id = ? AND generation = ?", sessionId, generation).length > 0)\n    return;',
    "",
    byTests("unit/tenant/receipt-chain"),
  ),
  canary(
    "unsigned statements are pruned from the chain [EVI-1]",
    chain,
    'row["signed"] !== 1 || ',
    "",
    byTests("unit/tenant/receipt-chain"),
  ),
  canary(
    "a receipt that is left out is not missed [EVI-1]",
    verify,
    "else if (two > one + 1 && linked)",
    "else if (two > one + 2 && linked)",
    byTests("unit/receipts/verify"),
  ),
  canary(
    "a receipt with another statement verifies [EVI-1]",
    verify,
    "if ((await sha256Hex(utf8(text))) !== receipt.hash)",
    "if (receipt.hash.length !== 64)",
    byTests("unit/receipts/verify"),
  ),
  canary(
    "a key under another key's id is believed [EVI-1]",
    verify,
    "if ((await keyIdOf(raw)) !== key.key_id)",
    "if (raw.length !== 32)",
    byTests("unit/receipts/verify"),
  ),
  agent(
    "a wrapper acts before its first renewal [I2]",
    "agent/fence.ts",
    "return this.lost === null && this.renewed;",
    "return this.lost === null;",
    byTests("unit/wrapper/wrapper-fence"),
  ),
  agent(
    "a wrapper that lost its lease is renewed [I8]",
    "agent/fence.ts",
    '    if (this.lost !== null) return { type: "ending" };\n    const now',
    "    const now",
    byTests("unit/wrapper/wrapper-fence"),
  ),
  agent(
    "what cleans up after SIGTERM gets SIGTERM too [PHY-6]",
    "proc/end-processes.ts",
    ".filter((one) => !askedAt.has(keyOf(one)) && !cleansUp(one, byPid, askedAt))",
    ".filter((one) => !askedAt.has(keyOf(one)))",
    byTests("unit/wrapper/end-processes"),
  ),
  agent(
    "pings of an open page hold the idle clock [TRA-8]",
    "agent/traffic/activity.ts",
    "(opcode !== ping && opcode !== pong)",
    "opcode !== ping",
    byTests("unit/wrapper/traffic-activity"),
  ),
  agent(
    "nobody is told that an output lost its middle [BUG-30]",
    "agent/jobs/output-spool.ts",
    "return from < this.#tailFrom ? { from, to: this.#tailFrom } : null;",
    "return from > this.#tailFrom ? { from, to: this.#tailFrom } : null;",
    byTests("unit/wrapper/output-spool"),
  ),
  agent(
    "an archive that tar could not unpack counts as unpacked [TRA-1]",
    "agent/services/files/archive.ts",
    "      if (code !== 0) throw tarFailure(words(), path);\n      await over;",
    "      await over;",
    byTests("e2e/agent/service-trees"),
  ),
  agent(
    "an upload whose padding comes after its archive is cut off [TRA-1]",
    "agent/services/files/archive.ts",
    "    request.unpipe(stdin);\n    request.resume();",
    "    request.destroy();",
    byTests("e2e/agent/service-trees"),
  ),
  agent(
    "what was put into a new directory before it was watched is told to no watcher",
    "agent/services/watch/directory-watch.ts",
    'if (isNew) this.#tell("created", relative + latin1, path);',
    "",
    byTests("e2e/agent/service-trees"),
  ),
  agent(
    "a renamed file is told as removed",
    "agent/services/watch/directory-watch.ts",
    'if (gone !== undefined) this.#tell("renamed"',
    'if (gone !== undefined) this.#tell("removed"',
    byTests("e2e/agent/service-trees"),
  ),
  agent(
    "streams stay open when their sandbox ends [TRA-9]",
    "agent/traffic/traffic.ts",
    "    for (const socket of this.#open) socket.destroy();\n",
    "",
    byTests("e2e/agent/wrapper-traffic"),
  ),
  agent(
    "a body that broke off looks whole [TRA-11]",
    "relay/relay.ts",
    'answer.on("error", () => response.destroy());\n    answer.on("aborted", () => response.destroy());',
    'answer.on("error", () => response.end());\n    answer.on("aborted", () => response.end());',
    byTests("e2e/agent/wrapper-traffic"),
  ),
];
