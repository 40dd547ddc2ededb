/** Signed receipts: a session's own, the tenant's chain, and the keys that anybody checks them with. */
import type { SessionId } from "../../../domain/state/ids.ts";
import { receiptChainQuery, receiptContracts } from "../../../protocol/contracts/session/receipt-contracts.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import type { Reply } from "../../../protocol/problem.ts";
import { ask } from "../../backend.ts";
import { readQuery } from "../../request/headers.ts";
import { askSession, json, type OpenContext, problem, type Route, serve, type TenantContext } from "../../route.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

async function ofSession(context: TenantContext): Promise<Response> {
  const id = context.param("id");
  if (!sessionIdPattern.test(id)) return problem(context, sessionNotFound);
  const reply = await ask("read", context.log, () =>
    answered(context.backend.tenant(context.caller.tenant).sessionReceipts(id as SessionId)),
  );
  if (!reply.ok) return problem(context, reply.problem);
  if (reply.value.data.length > 0 || reply.value.unsigned > 0) return json(200, reply.value);
  // Receipts outlive the session, so the session is asked only when there are none: whether there is such a session at all.
  const session = await askSession(context, "read", (object) => object.get(context.caller));
  return session.ok ? json(200, reply.value) : problem(context, session.problem);
}

async function chain(context: TenantContext): Promise<Response> {
  const query = readQuery(context.request, receiptChainQuery);
  if (!query.ok) return problem(context, query.problem);
  const { cursor, limit } = query.value;
  const reply = await ask("read", context.log, () =>
    answered(context.backend.tenant(context.caller.tenant).receiptChain(cursor ?? 0, limit)),
  );
  return reply.ok ? json(200, reply.value) : problem(context, reply.problem);
}

async function answered<T>(value: Promise<T>): Promise<Reply<T>> {
  return { ok: true, value: await value };
}

async function keys(context: OpenContext): Promise<Response> {
  const listed = await context.backend.receiptKeys();
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
