/**
 * `/console`: the page for people, served from this Worker's own assets under a policy that allows nothing from elsewhere, and the
 * sign-in of a browser. The page itself holds nothing secret, so anybody may load it; what it shows comes from the API.
 */
import { consoleContracts } from "../../../protocol/contracts/service/console-contracts.ts";
import { claimsApiKey } from "../../../protocol/api-keys.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import { type IdentityView, signInBody } from "../../../protocol/resources/service/console.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import { refused } from "../../answer/problem.ts";
import {
  clearedCookies,
  consoleCookie,
  consoleTicket,
  type CookieClaims,
  type CookieKind,
  isFromConsole,
  readConsoleTicket,
} from "../../guard/console-cookie.ts";
import { surfaceOf } from "../../guard/surface.ts";
import { readJson } from "../../request/body.ts";
import { json, type OpenContext, type Route } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";

const policy = [
  ...[
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
  ],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
  ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
].join("; ");

/** The same page for every view: it reads its address itself. */
async function page(context: OpenContext): Promise<Made> {
  // No extension: the assets binding answers names that end in .html with a redirect.
  const body = await context.backend.asset("/console/page");
  if (body === null) return refused(notBuilt);
  return new Response(body, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
    },
  });
}

const notBuilt: Problem = {
  code: "not_found",
  detail:
    "This Mooring was deployed without its console. Build it with `node scripts/builds/build-console.ts` and deploy again.",
};

const types: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Each name carries a hash of its content, so a browser may keep it for ever. */
async function file(context: OpenContext): Promise<Made> {
  const [, name = "", extension = ""] =
    /^([a-z0-9-]{1,60}-[A-Z0-9]{8}\.(js|css|svg))$/.exec(context.param("file")) ?? [];
  const body = name === "" ? null : await context.backend.asset(`/console/assets/${name}`);
  if (body === null)
    return refused({
      code: "not_found",
      detail: "The console has no such file: a newer one was deployed. Load the page again.",
    });
  const headers = { "content-type": types[extension] ?? "", "cache-control": "public, max-age=31536000, immutable" };
  return new Response(body, { headers });
}

const fromElsewhere: Problem = {
  code: "forbidden",
  detail:
    "Only the console's own page signs in and out. Open /console and do it there; programs send their credential in a header.",
};

async function signIn(context: OpenContext): Promise<Made> {
  if (!isFromConsole(context.request)) return refused(fromElsewhere);
  const body = await readJson(context.request, signInBody, { ranges: {}, empty: "refused" });
  if (!body.ok) return body;
  const { credential, ticket } = body.value;
  const asked =
    credential === undefined ? await byTicket(context, ticket ?? "") : await byCredential(context, credential);
  if (!asked.ok) return asked;
  const { kind, who, secret } = asked.value;
  const cookie = await consoleCookie(kind, who, secret, context.request, context.clock.now());
  const before = await identityOf(context);
  const until = rfc3339(cookie.until);
  const view: IdentityView =
    kind === "operator"
      ? { ...before, operator: { until } }
      : { ...before, tenant: { name: who.tenant, scopes: [...who.scopes], until } };
  return json(200, view, { "set-cookie": cookie.header });
}

async function ticket(context: OpenContext): Promise<Made> {
  const [, credential = ""] = /^Bearer (.+)$/i.exec(context.request.headers.get("authorization") ?? "") ?? [];
  const asked = await byCredential(context, credential);
  if (!asked.ok) return asked;
  const { kind, who, secret } = asked.value;
  const made = await consoleTicket(kind, who, secret, context.clock.now());
  return json(200, { path: `/console/login#${made.ticket}`, expires_at: rfc3339(made.until) });
}

interface SignIn {
  readonly kind: CookieKind;
  readonly who: Omit<CookieClaims, "until">;
  /** What signs for this kind. */
  readonly secret: string;
}

/** The gate itself judges it, with the same words, budgets and revocations as on any route. */
async function byCredential(context: OpenContext, typed: string): Promise<Reply<SignIn>> {
  const { secrets } = configOf(context);
  const credential = typed.trim();
  const headers = new Headers(context.request.headers);
  headers.set("authorization", `Bearer ${credential.replaceAll(/[^\x21-\x7e]/g, "?")}`);
  const asked = new Request(context.request.url, { headers });
  if (!claimsApiKey(credential)) {
    const admin = await context.gate.admin(asked);
    if (!admin.ok) return admin;
    const who = { tenant: "", keyId: "", scopes: [] };
    return { ok: true, value: { kind: "operator", who, secret: secrets.adminToken?.[0] ?? "" } };
  }
  const { tenant } = await context.gate.tenant(asked, surfaceOf("/v1"), "tenant");
  if (!tenant.ok) return tenant;
  const { tenant: name, scopes, keyId = "" } = tenant.value;
  const who = { tenant: name, keyId, scopes: [...scopes] };
  return { ok: true, value: { kind: "tenant", who, secret: secrets.keySigning?.[0] ?? "" } };
}

async function byTicket(context: OpenContext, presented: string): Promise<Reply<SignIn>> {
  const { secrets } = configOf(context);
  const signers = { operator: secrets.adminToken, tenant: secrets.keySigning } as const;
  for (const kind of ["operator", "tenant"] as const) {
    const [secret, ...older] = signers[kind] ?? [];
    if (secret === undefined) continue;
    const claims = await readConsoleTicket(presented, kind, [secret, ...older], context.clock.now());
    if (claims !== null) return { ok: true, value: { kind, who: claims, secret } };
  }
  return refused(ticketOver);
}

const ticketOver: Problem = {
  code: "unauthorized",
  detail: "This sign-in link is over: it is good for a minute. Run `mooring ui` again, or type the credential.",
};

async function signOut(context: OpenContext): Promise<Made> {
  if (!isFromConsole(context.request)) return refused(fromElsewhere);
  const headers = new Headers();
  for (const cookie of clearedCookies(context.request)) headers.append("set-cookie", cookie);
  return new Response(null, { status: 204, headers });
}

async function identity(context: OpenContext): Promise<Made> {
  return json(200, await identityOf(context));
}

async function identityOf(context: OpenContext): Promise<IdentityView> {
  const [operator, tenant] = await Promise.all([
    context.gate.operatorOfCookie(context.request),
    context.gate.tenantOfCookie(context.request),
  ]);
  const known = tenant?.reply.ok === true ? tenant.claims : null;
  return {
    operator: operator === null ? null : { until: rfc3339(operator.until) },
    tenant: known === null ? null : { name: known.tenant, scopes: [...known.scopes], until: rfc3339(known.until) },
  };
}

function configOf({ reading }: OpenContext) {
  return reading.ok ? reading.config : reading.fallback;
}

export const consoleRoutes: readonly Route[] = [
  serve(consoleContracts.page, page),
  serve(consoleContracts.signIn, signIn),
  serve(consoleContracts.ticket, ticket),
  serve(consoleContracts.signOut, signOut),
  serve(consoleContracts.identity, identity),
  serve(consoleContracts.file, file),
  serve(consoleContracts.view, page),
  serve(consoleContracts.subject, page),
];
