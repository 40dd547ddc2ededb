/** Signed receipts: a session's own, the tenant's chain, and the keys that anybody checks them with. */
import type { SessionId } from "../../../domain/state/ids.ts";
import { receiptChainQuery, receiptContracts } from "../../../protocol/contracts/session/receipt-contracts.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { ask } from "../../backend.ts";
import { readQuery } from "../../request/headers.ts";
import { askSession, json, type OpenAsk, problem, type Route, serve, type TenantAsk } from "../../route.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

async function ofSession(from: TenantAsk): Promise<Response> {
  const id = from.param("id");
  if (!sessionIdPattern.test(id)) return problem(from, sessionNotFound);
  const reply = await ask("read", from.log, () =>
    answered(from.backend.tenant(from.caller.tenant).sessionReceipts(id as SessionId)),
  );
  if (!reply.ok) return problem(from, reply.problem);
  if (reply.value.data.length > 0 || reply.value.unsigned > 0) return json(200, reply.value);
  // Receipts outlive the session, so the session is asked only when there are none: whether there is such a session at all.
  const session = await askSession(from, "read", (object) => object.get(from.caller));
  return session.ok ? json(200, reply.value) : problem(from, session.problem);
}

async function chain(from: TenantAsk): Promise<Response> {
  const query = readQuery(from.request, receiptChainQuery);
  if (!query.ok) return problem(from, query.problem);
  const { cursor, limit } = query.value;
  const reply = await ask("read", from.log, () =>
    answered(from.backend.tenant(from.caller.tenant).receiptChain(cursor ?? 0, limit)),
  );
  return reply.ok ? json(200, reply.value) : problem(from, reply.problem);
}

async function answered<T>(value: Promise<T>): Promise<Reply<T>> {
  return { ok: true, value: await value };
}

async function keys(from: OpenAsk): Promise<Response> {
  const listed = await from.backend.receiptKeys();
  const body = listed.map(({ key_id, public_key }, index) => ({
    key_id,
    algorithm: "Ed25519",
    public_key,
    status: index === 0 ? "signing" : "retired",
  }));
  return json(200, { keys: body }, { "cache-control": "public, max-age=300" });
}

export const receiptRoutes: readonly Route[] = [
  serve(receiptContracts.ofSession, ofSession),
  serve(receiptContracts.chain, chain),
  serve(receiptContracts.keys, keys),
];
