/**
 * The docs as a site, served from this Worker's own assets under a policy that allows nothing from elsewhere and nothing inline.
 * scripts/builds/build-docs.ts makes the pages.
 */
import { docsContracts } from "../../../protocol/contracts/service/service-contracts.ts";
import type { Problem } from "../../../protocol/problem.ts";
import { refused } from "../../answer/problem.ts";
import { type OpenContext, type Route } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";

const policy = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
  ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
].join("; ");

async function page(context: OpenContext, slug: string): Promise<Made> {
  // Pages have no extension: the assets binding answers names that end in .html with a redirect.
  const body = await context.backend.asset(`/docs/${slug}`);
  if (body === null) return refused(noSuchPage);
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
async function pageOrFile(context: OpenContext): Promise<Made> {
  const name = context.param("file");
  if (/^[a-z0-9-]{1,80}$/.test(name)) return await page(context, name);
  const [, picture] = /^[a-z0-9-]{1,80}\.(png|gif)$/.exec(name) ?? [];
  if (picture !== undefined) return await file(context, name, `image/${picture}`, "public, max-age=3600");
  const [, extension = ""] = /^(?:docs|search)-[0-9A-F]{8}\.(js|css|json)$/.exec(name) ?? [];
  return await file(context, name, types[extension] ?? "", "public, max-age=31536000, immutable");
}

async function file(context: OpenContext, name: string, type: string, cache: string): Promise<Made> {
  const body = type === "" ? null : await context.backend.asset(`/docs/${name}`);
  if (body === null) return refused(noSuchPage);
  return new Response(body, { headers: { "content-type": type, "cache-control": cache } });
}

export const docsRoutes: readonly Route[] = [
  serve(docsContracts.page, (context) => page(context, "start")),
  serve(docsContracts.file, pageOrFile),
];
