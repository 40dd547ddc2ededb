/**
 * The page that shows the OpenAPI document to people: Swagger UI, served from this Worker's own assets under a policy that
 * allows nothing from elsewhere and no inline script.
 */
import { docsContracts } from "../../protocol/contracts/service-contracts.ts";
import { type OpenAsk, problem, type Route, serve } from "../route.ts";

/** `style-src` allows inline styles: Swagger UI writes them into its markup. What they could do, an image or a request, is not allowed. */
const policy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:"],
  ...["connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ");

const html = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Mooring API</title>
    <link rel="icon" type="image/png" href="/docs/vendor/favicon-32x32.png" />
    <link rel="stylesheet" href="/docs/vendor/swagger-ui.css" />
    <link rel="stylesheet" href="/docs/docs.css" />
    <script src="/docs/vendor/swagger-ui-bundle.js" defer></script>
    <script src="/docs/docs.js" defer></script>
  </head>
  <body>
    <div id="docs"><noscript>This page needs JavaScript. The same document is at <a href="/openapi.json">/openapi.json</a>.</noscript></div>
  </body>
</html>
`;

async function page(): Promise<Response> {
  return new Response(html, {
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy },
  });
}

/** What the page is made of, and nothing else of the assets. */
const files: Readonly<Record<string, string>> = {
  "docs.js": "text/javascript; charset=utf-8",
  "docs.css": "text/css; charset=utf-8",
  "vendor/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "vendor/swagger-ui.css": "text/css; charset=utf-8",
  "vendor/favicon-32x32.png": "image/png",
};

async function file(from: OpenAsk, name: string): Promise<Response> {
  const type = Object.hasOwn(files, name) ? files[name] : undefined;
  const body = type === undefined ? null : await from.backend.asset(`/docs/${name}`);
  if (type === undefined || body === null) {
    return problem(from, {
      code: "not_found",
      detail:
        "The docs page has no such file, or this Mooring was deployed without its assets. The document itself is at /openapi.json.",
    });
  }
  return new Response(body, { headers: { "content-type": type, "cache-control": "public, max-age=3600" } });
}

export const docsRoutes: readonly Route[] = [
  serve(docsContracts.page, page),
  serve(docsContracts.file, (from) => file(from, from.param("file"))),
  serve(docsContracts.vendor, (from) => file(from, `vendor/${from.param("file")}`)),
];
