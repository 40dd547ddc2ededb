/**
 * The docs as a site: assets/docs, not in git. Pages come from docs/*.md, the reference from the contracts that validate requests,
 * the search from both. No page needs a script to be read.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { repository } from "../repository.ts";
import { type DocsPage, readPages } from "./docs/pages.ts";
import { referencePage } from "./docs/reference.ts";
import { sectionsOf } from "./docs/search-index.ts";
import { htmlOf } from "./docs/site.ts";
import { writeWhenChanged } from "./write-when-changed.ts";

const target = join(repository, "assets/docs");

export async function buildDocs(): Promise<void> {
  const pages: readonly DocsPage[] = [...readPages(), referencePage()];
  const index = JSON.stringify(pages.filter(({ searched }) => searched).flatMap(sectionsOf));
  const files = new Map<string, Uint8Array | string>();
  const search = `search-${hashOf(index)}.json`;
  files.set(search, index);
  const { script, style } = await bundle(files);
  for (const image of readdirSync(join(repository, "docs/images")))
    files.set(image, readFileSync(join(repository, "docs/images", image)));
  for (const page of pages) files.set(page.slug, htmlOf(page, pages, { script, style, search }));
  for (const [name, content] of files) writeWhenChanged(join(target, name), content);
  forgetOthers(files);
}

async function bundle(files: Map<string, Uint8Array | string>) {
  const source = join(repository, "src/console/docs");
  const { outputFiles } = await build({
    entryPoints: { docs: join(source, "docs.ts"), style: join(source, "docs.css") },
    outdir: target,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: ["es2023", "chrome120", "firefox120", "safari17.4"],
    legalComments: "none",
    write: false,
    logLevel: "warning",
  });
  const named = (ending: string) => {
    const found = outputFiles.find(({ path }) => path.endsWith(ending));
    if (found === undefined) throw new Error(`The docs have no ${ending}.`);
    const name = `docs-${hashOf(found.contents)}${ending}`;
    files.set(name, found.contents);
    return name;
  };
  return { script: named(".js"), style: named(".css") };
}

/** In the name of a file, so that browsers keep it. */
function hashOf(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
}

/** Those of an earlier build. */
function forgetOthers(current: ReadonlyMap<string, unknown>): void {
  if (!existsSync(target)) return;
  for (const name of readdirSync(target)) if (!current.has(name)) rmSync(join(target, name), { recursive: true });
}
