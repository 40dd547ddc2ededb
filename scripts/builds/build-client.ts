/**
 * `npm run build:client`: the package's "./client" in dist/client: one ES module for every runtime, and its types.
 * The declarations name types of zod, which the package depends on; the module itself holds no zod.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { readCommandLine } from "../command-line.ts";
import { repository, toolEnvironment } from "../repository.ts";

const { positionals } = readCommandLine("Usage: npm run build:client -- [DIRECTORY]", { allowPositionals: true });
const out = join(positionals[0] ?? join(repository, "dist"), "client");
rmSync(out, { recursive: true, force: true });

await build({
  entryPoints: [join(repository, "src/client/mooring.ts")],
  outfile: join(out, "mooring.js"),
  bundle: true,
  format: "esm",
  // Neutral: an import of a Node module does not resolve, so the build fails instead of a browser.
  platform: "neutral",
  mainFields: ["module", "main"],
  target: "es2022",
  sourcemap: true,
  legalComments: "none",
});

const declared = spawnSync(
  "tsc",
  [
    ...["-p", join(repository, "tsconfig.client.json")],
    ...["--noEmit", "false", "--emitDeclarationOnly", "--declaration", "--outDir", join(out, "types")],
  ],
  { cwd: repository, env: toolEnvironment(), stdio: ["ignore", "inherit", "inherit"] },
);
process.exitCode = declared.status ?? 1;
