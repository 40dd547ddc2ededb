/**
 * The docs as a site, served from this Worker's own assets under a policy that allows nothing from elsewhere and nothing inline.
 * scripts/builds/build-docs.ts makes the pages.
 */
import { docsContracts } from "../../../protocol/contracts/service/service-contracts.ts";
import type { Problem } from "../../../protocol/problem.ts";
import { type OpenAsk, problem, type Route, serve } from "../../route.ts";

const policy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
  ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
].join("; ");

async function page(from: OpenAsk, slug: string): Promise<Response> {
  // Pages have no extension: the assets binding answers names that end in .html with a redirect.
  const body = await from.backend.asset(`/docs/${slug}`);
  if (body === null) return problem(from, noSuchPage);
  return new Response(body, {
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy },
  });
}

const noSuchPage: Problem = {
  code: "not_found",
  detail: "The docs have no such page. Begin at /docs; the API describes itself at /openapi.json.",
};

const types: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  json: "application/json",
};

/** A page by its name; or what pages are made of, whose names carry a hash of the content, so that a browser may keep it for ever. */
async function pageOrFile(from: OpenAsk): Promise<Response> {
  const name = from.param("file");
  if (/^[a-z0-9-]{1,80}$/.test(name)) return await page(from, name);
  const [, picture] = /^[a-z0-9-]{1,80}\.(png|gif)$/.exec(name) ?? [];
  if (picture !== undefined) return await file(from, name, `image/${picture}`, "public, max-age=3600");
  const [, extension = ""] = /^(?:docs|search)-[0-9A-F]{8}\.(js|css|json)$/.exec(name) ?? [];
  return await file(from, name, types[extension] ?? "", "public, max-age=31536000, immutable");
}

async function file(from: OpenAsk, name: string, type: string, cache: string): Promise<Response> {
  const body = type === "" ? null : await from.backend.asset(`/docs/${name}`);
  if (body === null) return problem(from, noSuchPage);
  return new Response(body, { headers: { "content-type": type, "cache-control": cache } });
}

export const docsRoutes: readonly Route[] = [
  serve(docsContracts.page, (from) => page(from, "start")),
  serve(docsContracts.file, pageOrFile),
];
