/**
 * Cross-origin requests from browsers, off unless CORS_ORIGINS names who may. An API key travels in a header that a page sets itself, so
 * credentials (cookies, client certificates) are never allowed: nothing of a browser's own opens anything here. Routes that
 * take the admin token are left out: no page should hold it.
 */

/** `*`: any origin. */
export type CorsOrigins = readonly string[];

/** Answer headers that a page may read, beyond those that browsers always allow. */
const exposed = [
  ...["ETag", "Location", "Retry-After", "X-Request-Id", "Idempotency-Replayed", "Preference-Applied"],
  ...["Mooring-Offset", "RateLimit", "RateLimit-Policy", "X-Next-Token", "X-Next-Cursor"],
].join(", ");
const forOperators = /^\/(v1\/admin|metrics|api\/sandbox)(\/|$)/;
/** A browser asks again after this long at most; some keep an answer for less. */
const maxAgeSeconds = 7_200;

export function corsHeaders(request: Request, path: string, origins: CorsOrigins): Readonly<Record<string, string>> {
  if (origins.length === 0 || forOperators.test(path)) return {};
  const origin = request.headers.get("origin");
  const any = origins.includes("*");
  if (origin === null || (!any && !origins.includes(origin))) return any ? {} : { vary: "Origin" };
  return {
    "access-control-allow-origin": any ? "*" : origin,
    "access-control-expose-headers": exposed,
    ...(any ? {} : { vary: "Origin" }),
  };
}

/** The answer to a browser that asks whether it may; null: it is no such question, or the answer is no. The common headers are added as to every answer. */
export function preflightAnswer(
  request: Request,
  path: string,
  methods: readonly string[],
  origins: CorsOrigins,
): Response | null {
  if (request.method !== "OPTIONS" || !request.headers.has("access-control-request-method")) return null;
  if (!("access-control-allow-origin" in corsHeaders(request, path, origins))) return null;
  const asked = request.headers.get("access-control-request-headers");
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": methods.join(", "),
      // Without credentials a header is only what the page says: each route decides what it reads.
      ...(asked === null ? {} : { "access-control-allow-headers": asked }),
      "access-control-max-age": String(maxAgeSeconds),
    },
  });
}
