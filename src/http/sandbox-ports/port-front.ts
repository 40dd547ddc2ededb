/**
 * The front of the ports of sandboxes: `ANY /v1/sessions/{id}/ports/{port}/…` and `https://{port}-{id}.{TRAFFIC_DOMAIN}/…`.
 *
 * It stands before the routes, because a host name of a sandbox must never serve anything of Mooring's. Who may ask is decided here,
 * everything else by the gate (src/traffic). A credential of Mooring's never reaches the sandbox.
 */
import type { Config } from "../../config/config.ts";
import { looksLikeApiKey } from "../../protocol/api-keys.ts";
import { verifyAccess } from "../../protocol/compat/e2b-access.ts";
import { isLabelSigned, readPortToken } from "../../protocol/port-access.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import type { Caller } from "../../session/session-api.ts";
import { problemResponse, refused } from "../answer/problem.ts";
import { bearer, headerCredential } from "../guard/credential.ts";
import { lacksRight } from "../guard/auth.ts";
import type { RequestGate } from "../guard/request-gate.ts";
import { headersTooLarge, trafficTooLarge } from "../guard/size-limits.ts";
import { dataPlanePort } from "../guard/sandbox-auth.ts";
import { isDataPlane } from "../guard/surface.ts";
import type { AppDependencies } from "../route.ts";
import type { Entrant as Entrance } from "../../traffic/traffic-gate.ts";
import {
  answeredHeaders,
  cookieOf,
  e2bTokenHeader,
  onwardHeaders,
  onwardPath,
  type Spent,
  tokenHeader,
  tokenInCookie,
  tokenQuery,
} from "./port-headers.ts";
import { isStrayHost, type PortAddress, portAddress } from "./port-address.ts";

/** `caller` null: a signed host name, which names no tenant; "anyone": a plain one, which opens only what its session made public. */
interface Entrant {
  readonly caller: Entrance;
  readonly spent: Spent;
  readonly headers: Readonly<Record<string, string>>;
  /** A token that came in the address moves into a cookie, so that it is in no history, no log and no `Referer`. */
  readonly moveToCookie: { readonly token: string; readonly endsAt: number } | null;
}

export class PortFront {
  readonly #around: AppDependencies;
  readonly #config: Config;
  readonly #gate: RequestGate;

  constructor(around: AppDependencies, config: Config, gate: RequestGate) {
    this.#around = around;
    this.#config = config;
    this.#gate = gate;
  }

  /** null: the request is for Mooring itself. */
  async answer(request: Request): Promise<Response | null> {
    // To take an address apart costs as much as to find a route. Without host names of their own, ports have this in their path.
    if (this.#config.trafficDomain === null && !/[\\/]ports[\\/]/.test(request.url)) return null;
    const url = new URL(request.url);
    const place = portAddress(url, this.#config.trafficDomain);
    // By that port E2B's SDK names its data plane, which is served as any route. Nothing else of Mooring's is below that host name.
    if (place?.by === "host" && place.port === dataPlanePort && place.signed === null)
      return isDataPlane(url.pathname) ? null : this.#refuse(request, noSuchHost);
    if (place === null) return isStrayHost(url, this.#config.trafficDomain) ? this.#refuse(request, noSuchHost) : null;
    const startedAt = this.#around.clock.now();
    const response = await this.#serve(request, url, place).catch((error: unknown) => {
      this.#around.log.error("bug", { route: "ports", error: error instanceof Error ? error.message : "" });
      return this.#refuse(request, bug);
    });
    this.#around.log.info("request", {
      method: request.method.slice(0, 16),
      route: `ports by ${place.by}`,
      status: response.status,
      ms: this.#around.clock.now() - startedAt,
    });
    return response;
  }

  async #serve(request: Request, url: URL, place: PortAddress): Promise<Response> {
    const heavy = headersTooLarge(request, this.#config.sizes) ?? trafficTooLarge(request);
    if (heavy !== null) return this.#refuse(request, heavy);
    // A worker registered below Mooring's origin would stand between it and its users.
    if (place.by === "path" && request.headers.get("service-worker") === "script")
      return this.#refuse(request, noServiceWorker);
    const entered = await this.#enter(request, url, place);
    if (!entered.ok) return this.#refuse(request, entered.problem);
    const { caller, spent, headers, moveToCookie } = entered.value;
    const isPage = request.method === "GET" && request.headers.get("upgrade") === null;
    if (moveToCookie !== null && place.by === "host" && isPage) return this.#moved(url, place, moveToCookie);
    const sent = await this.#around.traffic.send(caller, place.session, {
      method: request.method,
      path: `ports/${place.port}${onwardPath(place.path)}`,
      headers: onwardHeaders(request, place, spent),
      body: request.body,
      signal: request.signal,
    });
    if (!sent.ok && caller === "anyone")
      return isGone.has(sent.problem.code)
        ? noSandbox(place.session)
        : this.#refuse(request, asForbidden(await this.#gate.strangerRefused(request, sent.problem)));
    if (!sent.ok) return this.#refuse(request, sent.problem, headers);
    const answer = sent.value;
    const { status, statusText, webSocket, body } = answer;
    if (webSocket !== null && webSocket !== undefined)
      return new Response(null, { status, webSocket, headers: answeredHeaders(answer, place, url) });
    return new Response(body, { status, statusText, headers: answeredHeaders(answer, place, url) });
  }

  async #enter(request: Request, url: URL, place: PortAddress): Promise<Reply<Entrant>> {
    const { secrets } = this.#config;
    const keys = secrets.keySigning ?? [];
    if (place.signed !== null) {
      if (place.signed.endsAt <= this.#around.clock.now() || !(await isLabelSigned(place, keys)))
        return refused(wrongAddress);
      const problem = await this.#gate.tooOften(request, place.session);
      return problem === null ? entrant(null, null) : refused(problem);
    }
    const spent = keyIn(request);
    if (spent !== null) {
      const { tenant, headers } = await this.#gate.key(request, spent.key);
      if (!tenant.ok) return tenant;
      const lacking = lacksRight(tenant.value.scopes, "run");
      if (lacking !== null) return refused(lacking);
      const caller = { ...tenant.value, requestId: this.#around.ids.id() };
      return { ok: true, value: { caller, spent: spent.name, headers, moveToCookie: null } };
    }
    return this.#enterByToken(request, url, place, keys);
  }

  async #enterByToken(
    request: Request,
    url: URL,
    place: PortAddress,
    keys: readonly string[],
  ): Promise<Reply<Entrant>> {
    const inAddress = url.searchParams.get(tokenQuery);
    // By path the origin is Mooring's own: no cookie of a sandbox's page counts there.
    const inCookie = place.by === "host" ? tokenInCookie(request) : null;
    const token = headerCredential(request, tokenHeader) ?? inAddress ?? inCookie;
    const e2bToken = request.headers.get(e2bTokenHeader);
    if (token === null && e2bToken !== null) return this.#enterByE2bToken(request, place, e2bToken, keys);
    if (token === null && place.by === "host") {
      const problem =
        (await this.#gate.strangerTooOften(request)) ?? (await this.#gate.tooOften(request, place.session));
      return problem === null ? entrant("anyone", null) : refused(problem);
    }
    if (token === null) return refused(noCredential);
    const grant = await readPortToken(token, keys);
    if (grant === null || grant.session !== place.session || grant.port !== place.port) return refused(wrongAddress);
    if (grant.endsAt <= this.#around.clock.now()) return refused(wrongAddress);
    const revoked = await this.#gate.isRevoked(grant.tenant, grant.keyId);
    if (!revoked.ok) return revoked;
    if (revoked.value) return refused(wrongAddress);
    const problem = await this.#gate.tooOften(request, grant.tenant);
    if (problem !== null) return refused(problem);
    const caller: Caller = { tenant: grant.tenant, requestId: this.#around.ids.id(), scopes: [] };
    return entrant(caller, token === inAddress ? { token, endsAt: grant.endsAt } : null);
  }

  /** E2B's API gives a sandbox without public ports one token. The token opens every port of that sandbox, and is valid until the sandbox ends. */
  async #enterByE2bToken(
    request: Request,
    place: PortAddress,
    token: string,
    keys: readonly string[],
  ): Promise<Reply<Entrant>> {
    const tenant = await verifyAccess(token, place.session, keys, "ports");
    if (tenant === null) return refused(await this.#gate.strangerRefused(request, wrongE2bToken));
    const problem = await this.#gate.tooOften(request, tenant);
    if (problem !== null) return refused(problem);
    const caller: Caller = { tenant, requestId: this.#around.ids.id(), scopes: [] };
    return { ok: true, value: { caller, spent: e2bTokenHeader, headers: {}, moveToCookie: null } };
  }

  #moved(url: URL, place: PortAddress, { token, endsAt }: NonNullable<Entrant["moveToCookie"]>): Response {
    const forSeconds = Math.max(1, Math.floor((endsAt - this.#around.clock.now()) / 1_000));
    // A path that begins with two slashes would name another host.
    const location = onwardPath(place.path).replace(/^\/+/, "/");
    const headers = { location, "set-cookie": cookieOf(token, url, forSeconds) };
    return new Response(null, { status: 302, headers: { ...headers, "cache-control": "no-store" } });
  }

  #refuse(request: Request, problem: Problem, headers: Readonly<Record<string, string>> = {}): Response {
    const context = { requestId: this.#around.ids.id(), now: this.#around.clock.now(), url: request.url };
    return problemResponse(problem, context, { ...headers, "cache-control": "no-store" });
  }
}

function entrant(caller: Entrance, moveToCookie: Entrant["moveToCookie"]): Reply<Entrant> {
  return { ok: true, value: { caller, spent: null, headers: {}, moveToCookie } };
}

/** An API key. Any other `authorization` belongs to the server in the sandbox. */
function keyIn(request: Request): { readonly key: string; readonly name: "authorization" | "x-api-key" } | null {
  const own = headerCredential(request, "x-api-key");
  if (own !== null && looksLikeApiKey(own)) return { key: own, name: "x-api-key" };
  const shown = bearer(request);
  return shown !== null && looksLikeApiKey(shown) ? { key: shown, name: "authorization" } : null;
}

/** In the words of E2B's own router: clients of such an address expect them. */
const isGone: ReadonlySet<string> = new Set(["session_gone", "session_ended", "sandbox_lost", "session_paused"]);

/** 403, not 401: E2B's clients know "it wants the traffic token" by 403. */
function asForbidden(problem: Problem): Problem {
  return problem.code === "unauthorized" ? { ...problem, code: "forbidden" } : problem;
}

function noSandbox(sandboxId: string): Response {
  const body = { sandboxId, message: "The sandbox was not found", code: 502 };
  return Response.json(body, { status: 502, headers: { "cache-control": "no-store" } });
}

const makeOne = "POST /v1/sessions/{id}/ports";
const noCredential: Problem = {
  code: "unauthorized",
  detail: `This port is not public, and the request carried nothing that opens it. Send an API key as \`Authorization: Bearer …\`, or open an address that ${makeOne} made.`,
};
const wrongAddress: Problem = {
  code: "unauthorized",
  detail: `This address does not open this port: it has ended or was changed, it is another session's or another port's, or the API key that made it was revoked. ${makeOne} makes a new one.`,
};
const wrongE2bToken: Problem = {
  code: "unauthorized",
  detail: `The token in \`${e2bTokenHeader}\` does not open the ports of this sandbox. Create and connect give it as \`trafficAccessToken\`, for that one sandbox.`,
};
const noSuchHost: Problem = {
  code: "not_found",
  detail: "This host name is no port of a sandbox. They are `{port}-{session id}`, below this domain.",
};
const noServiceWorker: Problem = {
  code: "forbidden",
  detail:
    "A service worker is not served by path, where it would stand before all of Mooring. Use the port's own host name.",
};
const bug: Problem = {
  code: "internal",
  detail: "Mooring made a mistake of its own with this request. Tell its operator the request_id.",
};
