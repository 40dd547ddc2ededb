/** Signed receipts: a session's own, the tenant's chain, and the keys that anybody checks them with. */
import type { SessionId } from "../../../domain/state/ids.ts";
import { receiptContracts } from "../../../protocol/contracts/session/receipt-contracts.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import { ask } from "../../backend.ts";
import { answered, refused } from "../../answer/problem.ts";
import { askSession, json, type OpenContext, type Route, type TenantContext } from "../../route.ts";
import { type Made, type QueryOf, serve, serveQuery } from "../../serve.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

async function ofSession(context: TenantContext): Promise<Made> {
  const id = context.param("id");
  if (!sessionIdPattern.test(id)) return refused(sessionNotFound);
  const reply = await ask("read", context.log, () =>
    answered(context.backend.tenant(context.caller.tenant).sessionReceipts(id as SessionId)),
  );
  if (!reply.ok) return reply;
  if (reply.value.data.length > 0 || reply.value.unsigned > 0) return json(200, reply.value);
  // Receipts outlive the session, so the session is asked only when there are none: whether there is such a session at all.
  const session = await askSession(context, "read", (object) => object.get(context.caller));
  return session.ok ? json(200, reply.value) : session;
}

async function chain(context: TenantContext, query: QueryOf<typeof receiptContracts.chain>): Promise<Made> {
  const { cursor, limit } = query;
  return await ask("read", context.log, () =>
    answered(context.backend.tenant(context.caller.tenant).receiptChain(cursor ?? 0, limit)),
  );
}

async function keys(context: OpenContext): Promise<Made> {
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
  serveQuery(receiptContracts.chain, chain),
  serve(receiptContracts.keys, keys),
];
