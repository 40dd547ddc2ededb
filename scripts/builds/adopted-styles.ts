/**
 * Makes the terminal's library work under the console's policy, which takes neither `<style>` elements nor `style` attributes of
 * scripts: the three elements become ours (src/console/terminal/adopted-style.ts), the attribute becomes the property, which a
 * policy allows. The library has no option for it. A version in which these places look different does not build.
 */
import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";
import { adoptedStyleTag } from "../../src/console/terminal/adopted-style-tag.ts";

const changes = [
  { from: '.createElement("style")', to: `.createElement("${adoptedStyleTag}")`, times: 3 },
  { from: '.setAttribute("style",', to: ".style.cssText=(", times: 1 },
] as const;

export const adoptedStyles: Plugin = {
  name: "adopted-styles",
  setup(build) {
    build.onLoad({ filter: /@xterm[/\\]xterm[/\\]lib[/\\]xterm\.mjs$/ }, ({ path }) => {
      let contents = readFileSync(path, "utf8");
      for (const { from, to, times } of changes) {
        const found = contents.split(from).length - 1;
        if (found !== times)
          throw new Error(
            `${path} has ${from} ${found} times, not ${times}: look at it anew and change ${import.meta.filename}.`,
          );
        contents = contents.replaceAll(from, to);
      }
      return { contents, loader: "js" };
    });
  },
};
