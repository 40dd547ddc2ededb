/**
 * Bundles what runs inside a sandbox, with no dependency but Node >= 20: `node scripts/build-wrapper.ts [outfile]` makes
 * the wrapper, by default dist/wrapper.js; with `--toolbox` the program that the container image has beside it, by default
 * dist/toolbox.js.
 *
 * The files must run as CommonJS (alone in an image) and as an ES module (under this repository's package.json), so each
 * is a plain script that finds `require` for itself. As a module that needs Node 20.16 or newer.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values, positionals } = parseArgs({
  options: { toolbox: { type: "boolean", default: false } },
  allowPositionals: true,
});
const what = values.toolbox ? "toolbox" : "wrapper";
const outfile = resolve(positionals[0] ?? join(root, `dist/${what}.js`));
const maxBytes = 300 * 1_024;
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

await build({
  entryPoints: [join(root, values.toolbox ? "wrapper/toolbox/main.ts" : "wrapper/src/main.ts")],
  outfile,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "iife",
  minify: true,
  sourcemap: false,
  legalComments: "none",
  define: { MOORING_BUILD_VERSION: JSON.stringify(version) },
  banner: {
    js: 'globalThis.require??=typeof require=="function"?require:process.getBuiltinModule("module").createRequire(process.argv[1]);',
  },
  plugins: [
    {
      // WRAPPER_AS_PROTOCOL=N makes one that calls itself that version: a wrapper of tomorrow, for the tests of rollbacks.
      name: "another-protocol",
      setup(wiring) {
        const asProtocol = process.env["WRAPPER_AS_PROTOCOL"];
        if (asProtocol === undefined) return;
        wiring.onLoad({ filter: /domain\/wrapper-protocol\.ts$/ }, ({ path }) => {
          const source = readFileSync(path, "utf8");
          const contents = source.replace(/wrapperProtocol = \d+;/, `wrapperProtocol = ${Number(asProtocol)};`);
          if (contents === source) throw new Error("No version was found to replace.");
          return { contents, loader: "ts" };
        });
      },
    },
    {
      // Messages in forty languages, which nobody inside a sandbox reads.
      name: "english-only",
      setup(wiring) {
        wiring.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
          contents: 'export { default as en } from "./en.js";',
        }));
      },
    },
  ],
});

const bytes = statSync(outfile).size;
process.stdout.write(`${relative(root, outfile)} ${(bytes / 1_024).toFixed(1)} kB\n`);
if (bytes > maxBytes) throw new Error(`The bundle is larger than ${maxBytes / 1_024} kB.`);
