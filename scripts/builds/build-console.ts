/**
 * The console: assets/console, not in git. `page` is its HTML; each other file has a hash of its content in its name, so that
 * browsers keep them. What only some views need (terminal, charts) is split off and loaded when needed.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { build } from "esbuild";
import { repository } from "../repository.ts";
import { adoptedStyles } from "./adopted-styles.ts";
import { writeWhenChanged } from "./write-when-changed.ts";

const source = join(repository, "src/console");
const target = join(repository, "assets/console");

export async function buildConsole(): Promise<void> {
  const result = await build({
    entryPoints: { main: join(source, "main.tsx"), style: join(source, "style/console.css") },
    outdir: join(target, "assets"),
    entryNames: "[name]-[hash]",
    chunkNames: "part-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: ["es2023", "chrome120", "firefox120", "safari17.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "none",
    metafile: true,
    plugins: [adoptedStyles],
    write: false,
    logLevel: "warning",
    absWorkingDir: repository,
  });
  const outputs = Object.entries(result.metafile.outputs);
  const named = (entry: string) => {
    const found = outputs.find(([, output]) => output.entryPoint === relative(repository, join(source, entry)));
    if (found === undefined) throw new Error(`The console has no ${entry}.`);
    return `/console/assets/${basename(found[0])}`;
  };
  const main = outputs.find(([, output]) => output.entryPoint?.endsWith("main.tsx"));
  // What the first view needs is asked for at once, not one after another.
  const parts = (main?.[1].imports ?? [])
    .filter(({ kind, external }) => kind === "import-statement" && external !== true)
    .map(({ path }) => `/console/assets/${basename(path)}`);
  for (const { path, contents } of result.outputFiles) writeWhenChanged(path, contents);
  writeWhenChanged(join(target, "page"), pageOf(named("main.tsx"), named("style/console.css"), parts));
  forgetOthers(new Set(result.outputFiles.map(({ path }) => basename(path))));
}

/** Those of an earlier build. */
function forgetOthers(current: ReadonlySet<string>): void {
  const directory = join(target, "assets");
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) if (!current.has(name)) rmSync(join(directory, name));
}

function pageOf(script: string, style: string, parts: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Mooring</title>
    <link rel="icon" href="data:image/svg+xml,${icon}" />
    <link rel="stylesheet" href="${style}" />
    <script type="module" src="${script}"></script>
${parts.map((part) => `    <link rel="modulepreload" href="${part}" />\n`).join("")}  </head>
  <body>
    <div id="console"><noscript>The console needs JavaScript. The same is told by the API: see <a href="/docs">/docs</a>.</noscript></div>
  </body>
</html>
`;
}

const icon = encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f766e"/><g fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"><circle cx="16" cy="8.4" r="2.6"/><path d="M16 11v15M10.5 15h11M6.5 18.5c.6 4.800 4.600 7.500 9.500 7.500s8.900-2.700 9.500-7.500"/></g></svg>`,
);
