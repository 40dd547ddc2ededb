/** `npm run test:containers`. Serial: two cores start eight containers in five seconds, and a test's bound must mean something. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: new URL("../..", import.meta.url).pathname,
  test: {
    name: "containers",
    environment: "node",
    include: ["test/containers/**/*.test.ts"],
    // Downloads hundreds of megabytes, and only on request: `npm run test:containers -- --recipes`.
    exclude: process.env["MOORING_RECIPES"] === "yes" ? [] : ["test/containers/recipes/**"],
    passWithNoTests: false,
    fileParallelism: false,
    maxWorkers: 1,
    // Of the conformance kit's checks, which wait for most of their time.
    maxConcurrency: 3,
    testTimeout: 120_000,
    hookTimeout: 240_000,
    teardownTimeout: 60_000,
  },
});
