/** For programs that Node runs by itself: `cloudflare:workers` is the stand-in beside this file. Import it before anything that needs the module. */
import { registerHooks } from "node:module";

const standIn = new URL("workers-module.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    return specifier === "cloudflare:workers"
      ? { url: standIn, shortCircuit: true, format: "module-typescript" }
      : next(specifier, context);
  },
});
