/** A tenant's API keys: those that are known, and revoking one or all, effective within a minute, for ever. */
import { z } from "zod";
import type { TenantId } from "../../../domain/state/ids.ts";
import { keyIdText, readKeyId } from "../../../protocol/api-keys.ts";
import { adminContracts } from "../../../protocol/contracts/operator/admin-contracts.ts";
import {
  type ApiKeyView,
  optionalReasonBody,
  type RevocationView,
} from "../../../protocol/resources/operator/fleet.ts";
import { rfc3339, tenantName } from "../../../protocol/primitives.ts";
import type { Revocation, TenantKeys } from "../../../tenant/keys/keys.ts";
import { acted } from "../../admin-act.ts";
import { readJson } from "../../request/body.ts";
import { askAll } from "../../fan-out.ts";
import { answered, mapped } from "../../answer/problem.ts";
import { type AdminContext, json, type Route } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";
import { validate } from "../../request/validation.ts";

const target = z.object({ tenant: tenantName, id: keyIdText });

async function revoke(context: AdminContext): Promise<Made> {
  const named = validate(target, { tenant: context.param("tenant"), id: context.param("key") }, "path");
  if (!named.ok) return named;
  const given = await readJson(context.request, optionalReasonBody, { ranges: {}, empty: "no fields" });
  if (!given.ok) return given;
  const { tenant, id } = named.value;
  const reply = await acted(
    context,
    { action: "key.revoke", target: `${tenant}/${id}`, reason: given.value.reason ?? "" },
    () => answered(context.backend.tenant(tenant as TenantId).revokeKey(id)),
    () => "revoked",
  );
  return mapped(reply, (revocation) => view(tenant, revocation));
}

async function list(context: AdminContext): Promise<Made> {
  const named = validate(z.object({ tenant: tenantName }), { tenant: context.param("tenant") }, "path");
  if (!named.ok) return named;
  const { tenant } = named.value;
  const reply = await askAll(
    context,
    [tenant as TenantId],
    () => `the registry of ${tenant}`,
    (name) => context.backend.tenant(name).keys(),
  );
  if (!reply.ok) return reply;
  const [known] = reply.value;
  const bound = known?.allRevokedBefore ?? null;
  return json(200, {
    data: known === undefined ? [] : known.keys.map((key) => keyView(tenant, key, bound)),
    all_revoked_before: bound === null ? null : rfc3339(bound),
  });
}

async function revokeAll(context: AdminContext): Promise<Made> {
  const named = validate(z.object({ tenant: tenantName }), { tenant: context.param("tenant") }, "path");
  if (!named.ok) return named;
  const given = await readJson(context.request, optionalReasonBody, { ranges: {}, empty: "no fields" });
  if (!given.ok) return given;
  const { tenant } = named.value;
  const reply = await acted(
    context,
    { action: "key.revoke_all", target: tenant, reason: given.value.reason ?? "" },
    () => answered(context.backend.tenant(tenant as TenantId).revokeAllKeys()),
    () => "revoked",
  );
  return mapped(reply, (at) => ({ tenant, all_revoked_before: rfc3339(at) }));
}

function keyView(tenant: string, key: TenantKeys["keys"][number], bound: number | null): ApiKeyView {
  const { issuedAt, scopes, expiresAt } = readKeyId(key.keyId);
  const withAll = bound !== null && issuedAt <= bound ? bound : null;
  const at = (instant: number | null) => (instant === null ? null : rfc3339(instant));
  return {
    tenant,
    key_id: key.keyId,
    scopes: [...scopes],
    issued_at: rfc3339(issuedAt),
    expires_at: at(expiresAt),
    first_used_at: at(key.firstUsedAt),
    last_used_at: at(key.lastUsedAt),
    revoked_at: at(key.revokedAt ?? withAll),
  };
}

function view(tenant: string, { keyId, revokedAt }: Revocation): RevocationView {
  return { tenant, key_id: keyId, revoked_at: rfc3339(revokedAt) };
}

export const keyRoutes: readonly Route[] = [
  serve(adminContracts.keys, list),
  serve(adminContracts.revokeKey, revoke),
  serve(adminContracts.revokeAllKeys, revokeAll),
];
