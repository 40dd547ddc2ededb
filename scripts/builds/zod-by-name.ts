/**
 * Leaves out what a program does not use of zod: half of it. Seen through the object `z` all of zod is in use; as the namespace that
 * this object is, only what is named.
 */
import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";

const asObject = /^import \{ (?:type )?z \} from "zod";$/m;

export const zodByName: Plugin = {
  name: "zod-by-name",
  setup(wiring) {
    wiring.onLoad({ filter: /\/(src|wrapper)\/.*\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      return asObject.test(source)
        ? { contents: source.replace(asObject, 'import * as z from "zod";'), loader: "ts" }
        : undefined;
    });
  },
};
