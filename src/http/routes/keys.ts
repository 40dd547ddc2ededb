/** Revoking API keys: by tenant and key id, effective within a minute, for ever. */
import { z } from "zod";
import type { TenantId } from "../../domain/ids.ts";
import { keyIdText } from "../../protocol/api-keys.ts";
import { adminContracts } from "../../protocol/contracts/admin-contracts.ts";
import { optionalReasonBody, type RevocationView } from "../../protocol/fleet.ts";
import { rfc3339, tenantName } from "../../protocol/primitives.ts";
import type { Reply } from "../../protocol/problem.ts";
import type { Revocation } from "../../tenant/revocations.ts";
import { acted } from "../admin-act.ts";
import { readJson } from "../body.ts";
import { askAll } from "../fan-out.ts";
import { type AdminAsk, json, problem, type Route, serve } from "../route.ts";
import { validate } from "../validation.ts";

const target = z.object({ tenant: tenantName, id: keyIdText });

async function revoke(from: AdminAsk): Promise<Response> {
  const named = validate(target, { tenant: from.param("tenant"), id: from.param("key") }, "path");
  if (!named.ok) return problem(from, named.problem);
  const given = await readJson(from.request, optionalReasonBody, { ranges: {}, empty: "no fields" });
  if (!given.ok) return problem(from, given.problem);
  const { tenant, id } = named.value;
  const reply = await acted(
    from,
    { action: "key.revoke", target: `${tenant}/${id}`, reason: given.value.reason ?? "" },
    async (): Promise<Reply<Revocation>> => ({
      ok: true,
      value: await from.backend.tenant(tenant as TenantId).revokeKey(id),
    }),
    () => "revoked",
  );
  return reply.ok ? json(200, view(tenant, reply.value)) : problem(from, reply.problem);
}

async function list(from: AdminAsk): Promise<Response> {
  const named = validate(z.object({ tenant: tenantName }), { tenant: from.param("tenant") }, "path");
  if (!named.ok) return problem(from, named.problem);
  const { tenant } = named.value;
  const reply = await askAll(
    from,
    [tenant as TenantId],
    () => `the registry of ${tenant}`,
    (name) => from.backend.tenant(name).revocations(),
  );
  if (!reply.ok) return problem(from, reply.problem);
  return json(200, { data: reply.value.flat().map((each) => view(tenant, each)) });
}

function view(tenant: string, { keyId, revokedAt }: Revocation): RevocationView {
  return { tenant, key_id: keyId, revoked_at: rfc3339(revokedAt) };
}

export const keyRoutes: readonly Route[] = [serve(adminContracts.keys, list), serve(adminContracts.revokeKey, revoke)];
