/**
 * `/mcp`: Mooring for agents, as Streamable HTTP of the Model Context Protocol by its official SDK, stateless.
 *
 * Each tool is a call of Mooring's own API with the caller's own credential, inside this Worker: keys, scopes, rate limits,
 * quotas and validation are those of the API, and nothing here can do what the API does not. An API key sees a tenant's
 * tools, the admin token an operator's.
 */
import { claimsApiKey } from "../protocol/api-keys.ts";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { Mooring, MooringAdmin } from "../client/mooring.ts";
import { adminTools } from "./admin-tools.ts";
import { insideTools } from "./inside-tools.ts";
import { snapshotTools } from "./snapshot-tools.ts";
import { tenantTools } from "./tenant-tools.ts";

/** The API that the tools call, and where a request for anything else goes. */
interface Api {
  fetch(request: Request): Promise<Response>;
}

const path = "/mcp";
/** What a command is given travels in the message. */
const maxBodyBytes = 8 * 1_024 * 1_024;
const maxHeaderLength = 4_096;

const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" };
/** What an inner call takes over from the request: who asks, from where, and the trace that it belongs to. */
const passedOn = ["authorization", "cf-connecting-ip", "traceparent"] as const;

const instructions = `Mooring runs commands in sandboxes. A session is a sandbox with a clock: it costs money from create_session until end_session, and it ends by itself when its clock runs out. Work like this: create_session, run_command as often as needed, end_session when done. end_session answers with a receipt that proves the sandbox is gone; its files are gone with it, so read what you need first.`;

export function withMcp(api: Api): Api {
  return {
    fetch: async (request) =>
      new URL(request.url).pathname === path ? await answer(api, request) : await api.fetch(request),
  };
}

async function answer(api: Api, request: Request): Promise<Response> {
  const credential = credentialOf(request);
  const asOperator = credential !== null && !claimsApiKey(credential);
  const refusal = await refusalOf(api, request, asOperator);
  if (refusal !== null) return refusal;
  const handler = createMcpHandler(() => serverFor(api, request, credential ?? "", asOperator), {
    responseMode: "json",
    maxRequestBodySize: maxBodyBytes,
  });
  const response = await handler.fetch(request);
  const answered = new Response(response.body, response);
  for (const [name, value] of Object.entries(headers)) answered.headers.set(name, value);
  return answered;
}

/**
 * Asks the API whether it takes the credential, so that a client hears 401 before it shows any tool. The list is asked for
 * with a limit that it refuses: keys, revocations and rate limits are looked at first, and no object is reached after.
 */
async function refusalOf(api: Api, request: Request, asOperator: boolean): Promise<Response | null> {
  const probe = new URL(asOperator ? "/v1/admin/sessions?limit=none" : "/v1/sessions?limit=none", request.url);
  const probed = await api.fetch(new Request(probe, { headers: headersFor(request) }));
  if (probed.status === 422) {
    await probed.body?.cancel();
    return null;
  }
  const refused = new Response(probed.body, probed);
  if (refused.status === 401) refused.headers.set("www-authenticate", 'Bearer realm="mooring"');
  return refused;
}

function serverFor(api: Api, request: Request, credential: string, asOperator: boolean): McpServer {
  const server = new McpServer({ name: "mooring", title: "Mooring", version: "1" }, { instructions });
  const connection = {
    url: new URL(request.url).origin,
    fetch: (inner: Request) => {
      for (const [name, value] of headersFor(request)) inner.headers.set(name, value);
      return api.fetch(inner);
    },
    // The caller decides about another try: a tool that waits in silence looks like one that hangs.
    retry: { attempts: 1 },
    timeoutMs: 120_000,
  };
  if (asOperator) adminTools(server, new MooringAdmin({ ...connection, token: credential }));
  else {
    const mooring = new Mooring({ ...connection, key: credential });
    tenantTools(server, mooring);
    insideTools(server, mooring);
    snapshotTools(server, mooring);
  }
  return server;
}

function credentialOf(request: Request): string | null {
  const sent = request.headers.get("authorization") ?? "";
  return sent.length > maxHeaderLength ? null : (/^Bearer +(\S+)$/i.exec(sent)?.[1] ?? null);
}

function headersFor(request: Request): Headers {
  const sent = new Headers();
  for (const name of passedOn) {
    const value = request.headers.get(name);
    if (value !== null) sent.set(name, value);
  }
  return sent;
}
