/** Leaves out zod's messages in forty languages, which no program of ours shows. */
import type { Plugin } from "esbuild";

export const englishOnly: Plugin = {
  name: "english-only",
  setup(wiring) {
    wiring.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
    }));
  },
};
