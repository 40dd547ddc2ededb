/**
 * `mooring` as one file that needs no other: `node scripts/builds/build-cli.ts [outfile]`, by default dist/cli/mooring.js. It is
 * faster to start than the sources, and installs without anybody else's code being fetched.
 */
import { chmodSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Metafile } from "esbuild";
import { repository } from "../repository.ts";
import { englishOnly } from "./english-only.ts";

/** Returns what went into it, for the licences. */
export async function buildCli(outfile: string): Promise<Metafile> {
  const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { version: string };
  const { metafile } = await build({
    entryPoints: [join(repository, "src/cli/main.ts")],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    legalComments: "none",
    minifySyntax: true,
    minifyWhitespace: true,
    metafile: true,
    define: { MOORING_BUILD_VERSION: JSON.stringify(version) },
    // Packages that are CommonJS ask for Node's modules with `require`, which an ES module does not have.
    banner: { js: 'import{createRequire as __cr}from"node:module";const require=__cr(import.meta.url);' },
    plugins: [englishOnly],
  });
  chmodSync(outfile, 0o755);
  return metafile;
}

if (import.meta.main) await buildCli(resolve(process.argv[2] ?? join(repository, "dist/cli/mooring.js")));
