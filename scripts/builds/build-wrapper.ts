/**
 * Bundles what runs inside a sandbox, with no dependency but Node >= 20: `node scripts/builds/build-wrapper.ts [outfile]` makes
 * the wrapper, by default dist/wrapper.js; with `--toolbox` the program that the container image has beside it, by default
 * dist/toolbox.js.
 *
 * The files must run as CommonJS (alone in an image) and as an ES module (under this repository's package.json), so each
 * is a plain script that finds `require` for itself. As a module that needs Node 20.16 or newer.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { brotliCompressSync, deflateRawSync } from "node:zlib";
import { build, type BuildOptions } from "esbuild";
import { readCommandLine } from "../command-line.ts";
import { englishOnly } from "./english-only.ts";
import { writeWhenChanged } from "./write-when-changed.ts";
import { zodByName } from "./zod-by-name.ts";

const root = join(import.meta.dirname, "../..");
const { values, positionals } = readCommandLine("Usage: npm run build:wrapper -- [--toolbox] [OUTFILE]", {
  options: { toolbox: { type: "boolean", default: false } },
  allowPositionals: true,
});
const what = values.toolbox ? "toolbox" : "wrapper";
const outfile = resolve(positionals[0] ?? join(root, `dist/${what}.js`));
/** A container reads it once; every session's container is sent it. */
const maxBytes = 320 * 1_024;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

const options: BuildOptions = {
  bundle: true,
  platform: "node",
  target: "node20",
  minify: true,
  sourcemap: false,
  legalComments: "none",
  // A part is kept byte by byte.
  charset: "ascii",
  define: { MOORING_BUILD_VERSION: JSON.stringify(version) },
  // Of `ws`: faster code for what is not done here, where it is installed.
  external: ["bufferutil", "utf-8-validate"],
  plugins: [
    {
      // The native part of a terminal, for the platform that this runs on: the agent is one file wherever it goes.
      name: "native-terminal",
      setup(wiring) {
        wiring.onLoad({ filter: /processes\/native-binaries\.ts$/ }, () => {
          const platform = `${process.platform}-${process.arch}`;
          const file = join(root, `node_modules/@lydell/node-pty-${platform}/pty.node`);
          const packed = existsSync(file)
            ? { [platform]: brotliCompressSync(readFileSync(file)).toString("base64") }
            : {};
          return { contents: `export const nativeBinaries = ${JSON.stringify(packed)};`, loader: "ts" };
        });
      },
    },
    {
      // WRAPPER_AS_PROTOCOL=N makes one that calls itself that version: a wrapper of tomorrow, for the tests of rollbacks.
      name: "another-protocol",
      setup(wiring) {
        const asProtocol = process.env["WRAPPER_AS_PROTOCOL"];
        if (asProtocol === undefined) return;
        wiring.onLoad({ filter: /domain\/state\/wrapper-protocol\.ts$/ }, ({ path }) => {
          const source = readFileSync(path, "utf8");
          const contents = source.replace(/wrapperProtocol = \d+;/, `wrapperProtocol = ${Number(asProtocol)};`);
          if (contents === source) throw new Error("No version was found to replace.");
          return { contents, loader: "ts" };
        });
      },
    },
    zodByName,
    englishOnly,
  ],
};
const asScript: BuildOptions = {
  format: "iife",
  banner: {
    js: 'globalThis.require??=typeof require=="function"?require:process.getBuiltinModule("module").createRequire(process.argv[1]);',
  },
};

const main = await bundled(values.toolbox ? "toolbox/main.ts" : "agent/main.ts", asScript);
// Read by wrapper/agent/program-parts.ts.
const parts = values.toolbox
  ? ""
  : `/*\n${await partOf("agent", "agent/agent-roles.ts", { format: "cjs" })}\n${await partOf("services", "agent/services/main.ts", asScript)}\n*/\n`;
const program = Buffer.concat([main, Buffer.from(parts)]);
process.stdout.write(`${relative(root, outfile)} ${(program.length / 1_024).toFixed(1)} kB\n`);
if (program.length > maxBytes) throw new Error(`The bundle is larger than ${maxBytes / 1_024} kB.`);
// Whole or not at all: several stacks build it at once while others start from it.
writeWhenChanged(outfile, program);

/** One line: what it is called, and its compressed text. */
async function partOf(name: string, entry: string, form: BuildOptions): Promise<string> {
  return `mooring-part-${name} ${deflateRawSync(await bundled(entry, form), { level: 9 }).toString("base64")}`;
}

async function bundled(entry: string, form: BuildOptions): Promise<Uint8Array> {
  const built = await build({ ...options, ...form, entryPoints: [join(root, "wrapper", entry)], write: false });
  const [file] = built.outputFiles;
  if (file === undefined) throw new Error(`${entry} was not bundled.`);
  return file.contents;
}
