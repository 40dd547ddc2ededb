/**
 * Proves that the lint rules can fail: every forbidden import direction and every ambient value is written into a
 * scratch copy of the layout, linted with the real .oxlintrc.json, and must be reported; the allowed ones must not.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

interface Case {
  readonly folder: string;
  readonly source: string;
  /** The rule that must report it; null: it must pass. */
  readonly rule: string | null;
}

const imports = (folder: string, specifiers: readonly string[], rule: string | null): readonly Case[] =>
  specifiers.map((specifier) => ({ folder, source: `import { x } from "${specifier}";\nexport const y = x;\n`, rule }));
const typeImports = (folder: string, specifiers: readonly string[], rule: string | null): readonly Case[] =>
  specifiers.map((specifier) => ({
    folder,
    source: `import type { X } from "${specifier}";\nexport type Y = X;\n`,
    rule,
  }));
const uses = (folder: string, expressions: readonly string[], rule: string): readonly Case[] =>
  expressions.map((expression) => ({ folder, source: `export const y = ${expression};\n`, rule }));

const direction = "eslint(no-restricted-imports)";
const platformGlobal = "eslint(no-restricted-globals)";
const platformProperty = "eslint(no-restricted-properties)";

const cases: readonly Case[] = [
  ...imports("src", ["../test/memory/memory-sandbox.ts"], direction),
  ...["src/config", "src/wiring", "src/http", "src/session", "src/sandbox", "src/fleet"].flatMap((folder) =>
    imports(folder, ["../../test/memory/memory-sandbox.ts", "../../test/session/x.ts"], direction),
  ),
  ...["src/http/routes", "src/fleet/alerts", "src/session/steps"].flatMap((folder) =>
    imports(folder, ["../../../test/memory/memory-sandbox.ts"], direction),
  ),

  ...imports("src/domain", ["./lease.ts"], null),
  ...imports(
    "src/domain",
    [
      "zod",
      "node:fs",
      "../protocol/jobs.ts",
      "../runtime/clock-ids-logger.ts",
      "../config/config.ts",
      "cloudflare:workers",
    ],
    direction,
  ),
  ...typeImports("src/domain", ["../runtime/clock-ids-logger.ts", "../protocol/jobs.ts"], direction),
  { folder: "src/domain", source: `export * from "../../http/app.ts";\n`, rule: direction },
  { folder: "src/domain", source: `export const y = () => import("../../http/app.ts");\n`, rule: direction },
  {
    folder: "src/domain",
    source: `export type Y = import("../../http/app.ts").X;\n`,
    rule: "typescript(consistent-type-imports)",
  },
  ...uses(
    "src/domain",
    ["globalThis.Date.now()", "performance.now()", "setTimeout(y0, 1)", "crypto.randomUUID()"],
    platformGlobal,
  ),
  ...uses("src/domain", ["Date.now()", "Math.random()"], platformProperty),
  ...uses("src/domain", ["() => Promise.resolve(1)", `() => console.log("x")`, `fetch("x")`], platformGlobal),

  ...imports("src/domain/machine", ["./cells.ts", "../state/lease.ts", "../rules/clocks.ts"], null),
  ...imports("src/domain/machine/stop", ["../launch/on-launch.ts", "../events.ts", "../../rules/clocks.ts"], null),
  ...imports(
    "src/domain/machine/stop",
    ["../../../explain/explain.ts", "../../../runtime/clock-ids-logger.ts", "zod"],
    direction,
  ),
  ...imports("src/domain/state", ["../../explain/explain.ts", "../../protocol/primitives.ts", "zod"], direction),

  ...imports("src/explain", ["./next-steps.ts", "../domain/state/lease.ts"], null),
  ...imports("src/explain", ["../protocol/primitives.ts", "../runtime/clock-ids-logger.ts", "zod"], direction),

  ...imports("src/protocol", ["zod", "./jobs.ts", "../domain/ids.ts"], null),
  ...imports(
    "src/protocol",
    ["../session/reports/reports.ts", "../http/app.ts", "../storage/sql.ts", "hono"],
    direction,
  ),
  ...imports("src/protocol/contracts", ["zod", "./jobs.ts", "../contract.ts", "../../domain/ids.ts"], null),
  ...imports(
    "src/protocol/contracts",
    ["../../session/reports/reports.ts", "../../http/app.ts", "../../config/config.ts", "zod-openapi"],
    direction,
  ),

  ...imports("src/runtime", ["../domain/ids.ts", "../session/ports.ts", "zod"], direction),
  ...imports("src/storage", ["./sql.ts"], null),
  ...imports("src/storage", ["../domain/ids.ts", "../protocol/jobs.ts", "zod"], direction),

  ...imports("src/calls", ["./bounded-call.ts"], null),
  ...typeImports("src/calls", ["../runtime/clock-ids-logger.ts"], null),
  ...imports("src/calls", ["../session/ports.ts", "../sandbox/agent-sandbox.ts", "zod"], direction),
  ...["src/session", "src/tenant", "src/fleet"].flatMap((folder) => [
    ...imports(folder, ["../calls/bounded-call.ts"], null),
    ...imports(folder, ["./store.ts", "./migrations/one.ts", "../domain/ids.ts", "../protocol/jobs.ts"], null),
    ...imports(folder, ["../storage/sql.ts", "../sandbox/agent-sandbox.ts", "cloudflare:workers"], null),
    ...imports(
      folder,
      [
        "../sandbox/local/local-sandbox.ts",
        "../sandbox/cloudflare/fence/fence.ts",
        "../sandbox/provider-registry.ts",
        "../http/app.ts",
      ],
      direction,
    ),
    ...imports(folder, ["../client/client.ts", "hono", "node:fs", "../config/config.ts", "../index.ts"], direction),
    ...typeImports(folder, ["../http/app.ts", "../sandbox/local/local-sandbox.ts"], direction),
  ]),
  ...imports("src/session/steps", ["../engine.ts", "../records/store.ts", "../../domain/state/lease.ts"], null),
  ...imports("src/session/steps", ["../../http/app.ts", "../../sandbox/provider-registry.ts"], direction),
  ...["src/session/steps/open", "src/session/commands/life"].flatMap((folder) => [
    ...imports(
      folder,
      ["../step-context.ts", "../../engine.ts", "../../records/store.ts", "../../../domain/ids.ts"],
      null,
    ),
    ...imports(
      folder,
      ["../../../http/app.ts", "../../../sandbox/provider-registry.ts", "../../../tenant/tenant-api.ts"],
      direction,
    ),
    ...imports(folder, ["../../../../test/memory/memory-sandbox.ts", "../../../../test/session/x.ts"], direction),
    ...typeImports(folder, ["../../../tenant/tenant-api.ts"], null),
    ...typeImports(folder, ["../../../tenant/quota/quota.ts"], direction),
  ]),
  ...typeImports("src/session", ["../tenant/tenant-api.ts", "../fleet/shard-api.ts"], null),
  ...imports("src/session", ["../tenant/tenant-api.ts", "../tenant/quota/quota.ts"], direction),
  ...typeImports("src/session", ["../tenant/quota/quota.ts"], direction),
  ...typeImports("src/fleet", ["../session/reports/reports.ts", "../runtime/clock-ids-logger.ts"], null),
  ...typeImports("src/fleet/alerts", ["../../domain/ids.ts"], null),
  ...imports("src/fleet/alerts", ["../../http/app.ts", "../../sandbox/local/local-sandbox.ts"], direction),

  ...imports(
    "src/sandbox/local",
    ["./wire.ts", "../agent-sandbox.ts", "../wrapper-client.ts", "../../domain/ids.ts"],
    null,
  ),
  ...typeImports("src/sandbox/local", ["../../runtime/clock-ids-logger.ts"], null),
  ...imports(
    "src/sandbox/local",
    ["../cloudflare/fence.ts", "../provider-registry.ts", "../../session/store.ts", "../../tenant/quota/quota.ts"],
    direction,
  ),
  ...imports("src/sandbox/cloudflare", ["./fence/launching.ts", "../agent-sandbox.ts"], null),
  ...imports(
    "src/sandbox/cloudflare/fence",
    ["./fence.ts", "../object-api.ts", "../platform/turns.ts", "../../agent-sandbox.ts", "../../../domain/ids.ts"],
    null,
  ),
  ...imports(
    "src/sandbox/cloudflare/fence",
    ["../../local/local-sandbox.ts", "../../provider-registry.ts", "../../../http/app.ts", "../../../session/ports.ts"],
    direction,
  ),
  ...imports("src/sandbox", ["./local/local-sandbox.ts", "../http/app.ts", "../fleet/shard-api.ts"], direction),

  ...imports(
    "src/http",
    ["hono", "hono/streaming", "zod", "./problem.ts", "../protocol/jobs.ts", "../domain/ids.ts"],
    null,
  ),
  ...typeImports("src/http", ["../session/session-api.ts", "../config/config.ts"], null),
  ...typeImports("src/http/routes", ["../../session/session-api.ts"], null),
  ...imports(
    "src/http",
    ["../session/session-object.ts", "../tenant/tenant-object.ts", "../storage/sql.ts"],
    direction,
  ),
  ...imports("src/http", ["../sandbox/agent-sandbox.ts", "../sandbox/local/local-sandbox.ts", "node:fs"], direction),
  ...imports("src/http/routes", ["../../session/session-object.ts", "../../sandbox/provider-registry.ts"], direction),

  ...imports("src/client", ["../protocol/jobs.ts", "./stream.ts"], null),
  ...imports("src/client", ["../domain/ids.ts", "../http/app.ts", "zod"], direction),

  ...imports("wrapper/agent", ["node:fs", "node:fs/promises", "./jobs.ts", "../../src/protocol/wrapper.ts"], null),
  ...imports(
    "wrapper/host",
    ["../../src/protocol/host.ts", "../../src/calls/keyed-queue.ts", "../proc/process-table.ts"],
    null,
  ),
  ...imports("wrapper/agent", ["../../src/domain/ids.ts", "../../src/session/store.ts", "hono"], direction),
  ...imports("wrapper/host", ["../../src/sandbox/agent-sandbox.ts", "esbuild"], direction),

  ...["src/session", "src/tenant", "src/fleet", "src/sandbox/local", "src/http"].flatMap((folder) => [
    ...uses(folder, ["Date.now()", "Math.random()", "crypto.randomUUID()"], platformProperty),
    ...uses(folder, ["setTimeout(y0, 1)", `() => console.log("x")`], platformGlobal),
  ]),
  { folder: "src", source: `export const y = () => console.log("x");\n`, rule: "eslint(no-console)" },

  // The type-aware half is a second binary: when it is missing or finds no tsconfig, its rules would silently vanish.
  {
    folder: "src",
    source: `async function f() {}\nexport function g() {\n  f();\n}\n`,
    rule: "typescript(no-floating-promises)",
  },
  {
    folder: "src",
    source: `async function f() {\n  return false;\n}\nexport const y = f() ? 1 : 2;\n`,
    rule: "typescript(no-misused-promises)",
  },
  {
    folder: "src",
    source: `export function f(x: "a" | "b") {\n  switch (x) {\n    case "a":\n      return 1;\n  }\n  return 2;\n}\n`,
    rule: "typescript(switch-exhaustiveness-check)",
  },
];

let scratch: string;
let reported: ReadonlyMap<string, ReadonlySet<string>>;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "mooring-architecture-"));
  cpSync(join(repository, ".oxlintrc.json"), join(scratch, ".oxlintrc.json"));
  const compilerOptions = { target: "es2024", module: "esnext", moduleResolution: "bundler", strict: true, types: [] };
  writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
  cases.forEach((each, index) => {
    mkdirSync(join(scratch, each.folder), { recursive: true });
    writeFileSync(join(scratch, each.folder, `case-${index}.ts`), each.source);
  });
  const oxlint = join(repository, "node_modules", ".bin", "oxlint");
  const run = spawnSync(oxlint, ["--format", "json", "."], { cwd: scratch, encoding: "utf8", maxBuffer: 1 << 26 });
  const report = JSON.parse(run.stdout) as { diagnostics: { code?: string; filename: string }[] };
  const found = new Map<string, Set<string>>();
  for (const { code, filename } of report.diagnostics) {
    found.set(filename, (found.get(filename) ?? new Set()).add(code ?? ""));
  }
  reported = found;
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const rulesFor = (index: number): ReadonlySet<string> =>
  reported.get(`${cases[index]!.folder}/case-${index}.ts`) ?? new Set();

describe.each([...new Set(cases.map((each) => each.folder))])("%s", (folder) => {
  const mine = cases.map((each, index) => ({ ...each, index })).filter((each) => each.folder === folder);
  const forbidden = mine.filter(({ rule }) => rule !== null);
  const allowed = mine.filter(({ rule }) => rule === null);

  if (forbidden.length > 0) {
    it("fails the lint on each forbidden import and ambient value", () => {
      expect(forbidden.filter(({ rule, index }) => !rulesFor(index).has(rule!))).toEqual([]);
    });
  }
  if (allowed.length > 0) {
    it("passes the lint with what it may import", () => {
      expect(allowed.filter(({ index }) => rulesFor(index).has(direction))).toEqual([]);
    });
  }
});

/** The linter has no rule for a constructor without arguments, so this one reads the source. */
const clockReads = (source: string): boolean => /\bnew Date\(\s*\)|(?<![.\w])Date\(\s*\)/.test(source);

it("no shell reads the clock through `new Date()`", () => {
  expect(clockReads("const t = new Date( );")).toBe(true);
  expect(clockReads("new Date(ms); Clock.Date()")).toBe(false);
  const offenders = readdirSync(join(repository, "src"), { recursive: true, encoding: "utf8" })
    // The command line is a program of its own: it has no controller whose clock a test moves.
    .filter((file) => file.endsWith(".ts") && file.includes("/") && !file.startsWith("cli/"))
    .filter((file) => clockReads(readFileSync(join(repository, "src", file), "utf8")));
  expect(offenders).toEqual([]);
});
