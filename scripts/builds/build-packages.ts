/**
 * `npm run build:packages [-- FOLDER]`: what is published, each in a folder of its own, ready for `npm pack` and `npm publish`:
 *
 * - `mooring`: the client and the command line. Nothing of the Worker is in it, and its one dependency is zod, which the
 *   client's types name; the code of both is bundled. Beside them `verify.mjs`, the verifier of receipts in one file.
 * - `mooring-provider-kit`: the conformance kit, for authors of providers.
 *
 * `npm publish` in the folder says where each file came from (`provenance`), which needs a CI that npm trusts.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Metafile } from "esbuild";
import { repository, toolEnvironment } from "../repository.ts";
import { buildCli } from "./build-cli.ts";
import { verifyProgram } from "./build-verify.ts";
import { englishOnly } from "./english-only.ts";

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

const out = resolve(process.argv[2] ?? join(repository, "dist/packages"));
const { version, license, dependencies } = JSON.parse(
  readFileSync(join(repository, "package.json"), "utf8"),
) as Manifest;
const shared = {
  version,
  license,
  type: "module",
  engines: { node: ">=20" },
  publishConfig: { access: "public", provenance: true },
};
/** Any release that reads the same: a user's own zod 4 serves the types as well. */
const zod = { zod: `^${dependencies["zod"] ?? "4"}` };

rmSync(out, { recursive: true, force: true });
await buildMooring(join(out, "mooring"));
await buildKit(join(out, "mooring-provider-kit"));

async function buildMooring(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  run("node", [join(repository, "scripts/builds/build-client.ts"), folder]);
  const bundled = await buildCli(join(folder, "cli/mooring.js"));
  const client = { types: "./client/types/client/mooring.d.ts", default: "./client/mooring.js" };
  writeJson(join(folder, "package.json"), {
    name: "mooring",
    description: "Client and command line of Mooring: agent sandboxes as leased sessions, each end proven.",
    keywords: ["sandbox", "agents", "cloudflare", "containers"],
    ...shared,
    sideEffects: false,
    bin: { mooring: "cli/mooring.js" },
    exports: { ".": client, "./client": client, "./package.json": "./package.json" },
    files: ["client", "cli", "verify.mjs", "README.md", "LICENSE", "THIRD-PARTY.txt"],
    dependencies: zod,
  });
  writeFileSync(join(folder, "verify.mjs"), await verifyProgram());
  copyFileSync(join(repository, "docs/cli.md"), join(folder, "README.md"));
  copyFileSync(join(repository, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(join(folder, "THIRD-PARTY.txt"), licencesOf(bundled));
}

async function buildKit(folder: string): Promise<void> {
  const { metafile } = await build({
    entryPoints: [join(repository, "test/contract/kit.ts")],
    outfile: join(folder, "kit.js"),
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    legalComments: "none",
    metafile: true,
    plugins: [englishOnly],
  });
  const types = ["-p", join(repository, "tsconfig.kit.json"), "--noEmit", "false"];
  run("tsc", [...types, "--emitDeclarationOnly", "--declaration", "--outDir", join(folder, "types")]);
  writeJson(join(folder, "package.json"), {
    name: "mooring-provider-kit",
    description: "The conformance kit for providers of Mooring: every sentence of the port's contract as a check.",
    ...shared,
    exports: {
      ".": { types: "./types/test/contract/kit.d.ts", default: "./kit.js" },
      "./package.json": "./package.json",
    },
    files: ["kit.js", "types", "README.md", "LICENSE", "THIRD-PARTY.txt"],
    dependencies: zod,
  });
  copyFileSync(join(repository, "docs/providers.md"), join(folder, "README.md"));
  copyFileSync(join(repository, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(join(folder, "THIRD-PARTY.txt"), licencesOf(metafile));
}

/** The licences of the packages whose code is in a bundle, which they ask to be kept with it. */
function licencesOf({ inputs }: Metafile): string {
  const names = Object.keys(inputs).flatMap((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  const texts = [...new Set(names)].sort().map((name) => {
    const folder = join(repository, "node_modules", name);
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
    return `${name} ${manifest.version} (${manifest.license})\n\n${licenceIn(folder)}`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

function licenceIn(folder: string): string {
  for (const name of ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"]) {
    try {
      return readFileSync(join(folder, name), "utf8");
    } catch {
      // Another name, or none in the package: its manifest says which it is.
    }
  }
  return "";
}

function run(command: string, args: readonly string[]): void {
  const ran = spawnSync(command, args, {
    cwd: repository,
    env: toolEnvironment(),
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (ran.status !== 0) throw new Error(`${command} ${args[0] ?? ""} ended with ${ran.status ?? ran.signal}.`);
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}
