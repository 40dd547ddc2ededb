/**
 * Two projects, each runnable alone (`vitest run --project node test/unit/x.test.ts`): "node" for what is pure or
 * drives real processes, "workers" for what needs workerd. The secrets below exist only inside the tests; they
 * override a developer's own .dev.vars, so that a test never depends on the machine it runs on.
 */
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

/**
 * Against what hangs, not a measure: on cores that twenty others want too, a test with real processes takes ten times as long. A hook may
 * start a stack, whose own bound is three minutes (scripts/stack/stack.ts). Vitest's own poll gives up after a second.
 */
const patience = {
  testTimeout: 240_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 60_000 } },
} as const;

export default defineConfig({
  test: {
    // Two cores is what CI promises; workerd and the e2e processes need some of them too.
    maxWorkers: 2,
    // Checks that run side by side mostly wait, for a grace or a bound: more at a time would wait for the cores.
    maxConcurrency: 3,
    // A run without tests must not look like a passing run.
    passWithNoTests: false,
    // A workerd or a child process that does not end must not hold the run for ever.
    teardownTimeout: 30_000,
    projects: [
      {
        test: {
          name: "node",
          environment: "node",
          include: ["test/{unit,model,simulation,contract,e2e}/**/*.test.ts"],
          // The SDK's real classes in Node: they are loaded through the alias below (test/unit/sandbox/sandbox-container.test.ts).
          server: { deps: { inline: [/@cloudflare[\\/](sandbox|containers)/, /capnweb/] } },
          alias: {
            "cloudflare:workers": new URL("test/support/cloudflare/workers-module.ts", import.meta.url).pathname,
          },
          ...patience,
        },
      },
      {
        test: {
          // The console and the docs in a real browser, against a stack of its own.
          name: "browser",
          environment: "node",
          include: ["test/browser/**/*.test.ts"],
          ...patience,
          hookTimeout: 600_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            // The real Worker, and one session object and one registry more whose provider a test can disturb.
            main: "./test/support/workers/main.ts",
            miniflare: {
              durableObjects: {
                RIGGED: { className: "RiggedSession", useSQLite: true },
                RIGGED_TENANTS: { className: "RiggedTenant", useSQLite: true },
              },
              bindings: {
                SANDBOX_PROVIDER: "memory",
                ADMIN_TOKEN: "test-admin-token-0123456789abcdef0123456789abcdef",
                KEY_SIGNING_SECRET: "test-key-signing-secret-0123456789abcdef01234567",
                ENV_ENCRYPTION_KEY: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
                RECEIPT_SIGNING_KEY: "test-receipt-signing-key-0123456789abcdef01234567",
                LOCAL_HOST_TOKEN: "test-local-host-token-0123456789abcdef0123456789",
                // How long `npm run fuzz` goes on, and where it begins.
                ...(process.env["FUZZ_REQUESTS"] === undefined ? {} : { FUZZ_REQUESTS: process.env["FUZZ_REQUESTS"] }),
                ...(process.env["FUZZ_SEED"] === undefined ? {} : { FUZZ_SEED: process.env["FUZZ_SEED"] }),
              },
            },
          }),
        ],
        test: {
          name: "workers",
          include: ["test/{workers,http}/**/*.test.ts"],
          ...patience,
        },
      },
    ],
  },
});
