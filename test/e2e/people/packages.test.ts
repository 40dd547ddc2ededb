/** What is published, as a stranger gets it: packed, looked into, installed in an empty folder without a network, used. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";

let folder: string;
let project: string;
const tarballs = new Map<string, readonly string[]>();

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = toolEnvironment()) {
  const ran = spawnSync(command, args, { cwd, env, encoding: "utf8" });
  expect({ status: ran.status, err: ran.status === 0 ? "" : `${ran.stdout}${ran.stderr}`.slice(-2_000) }).toEqual({
    status: 0,
    err: "",
  });
  return ran.stdout;
}

/** Packs a folder and returns the tarball; its list of files is kept. */
function pack(from: string): string {
  const told = run("npm", ["pack", "--json", "--pack-destination", folder, "--ignore-scripts"], from);
  const report = JSON.parse(told) as Record<string, unknown> | readonly unknown[];
  const [packed] = (Array.isArray(report) ? report : Object.values(report)) as readonly {
    name: string;
    filename: string;
    files: readonly { path: string }[];
  }[];
  if (packed === undefined) throw new Error(`npm pack said ${told.slice(0, 200)}`);
  tarballs.set(
    packed.name,
    packed.files.map(({ path }) => path),
  );
  return join(folder, packed.filename.replace("/", "-").replace("@", ""));
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mooring-packages-"));
  project = join(folder, "project");
  mkdirSync(project);
  run("node", [join(repository, "scripts/builds/build-packages.ts"), join(folder, "built")], repository);
  const packed = [
    pack(join(folder, "built/mooring")),
    pack(join(folder, "built/mooring-provider-kit")),
    pack(join(repository, "node_modules/zod")),
  ];
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "a-stranger", private: true, type: "module" }));
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...packed], project);
}, 400_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("holds the client and the command line, and nothing of the Worker [PEO-8]", () => {
  const files = tarballs.get("mooring") ?? [];
  expect(files).toEqual(
    expect.arrayContaining([
      "package.json",
      "README.md",
      "LICENSE",
      "THIRD-PARTY.txt",
      "cli/mooring.js",
      "client/mooring.js",
    ]),
  );
  expect(files.filter((file) => !/^(client|cli)\//.test(file)).sort()).toEqual([
    "LICENSE",
    "README.md",
    "THIRD-PARTY.txt",
    "package.json",
    "verify.mjs",
  ]);
  expect(files.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))).toEqual([]);
  const manifest = JSON.parse(readFileSync(join(project, "node_modules/mooring/package.json"), "utf8")) as Record<
    string,
    unknown
  >;
  expect(manifest).toMatchObject({
    type: "module",
    engines: { node: ">=20" },
    publishConfig: { access: "public", provenance: true },
  });
  expect(Object.keys(manifest["dependencies"] as object)).toEqual(["zod"]);
  expect(manifest).not.toHaveProperty("private");
  expect(manifest).not.toHaveProperty("scripts");
  // What a stranger has installed, all in all.
  expect(
    readdirSync(join(project, "node_modules"))
      .filter((name) => !name.startsWith("."))
      .sort(),
  ).toEqual(["mooring", "mooring-provider-kit", "zod"]);
  for (const name of ["@clack/prompts", "commander", "@bomb.sh/tab"])
    expect(readFileSync(join(project, "node_modules/mooring/THIRD-PARTY.txt"), "utf8")).toContain(name);
});

/** The system's Node (20) and the repository's (24); MOORING_NODES names others, with colons: paths of programs. */
const others = (process.env["MOORING_NODES"] ?? "").split(":").filter((path) => path !== "");
const nodes = [...new Set(["/usr/bin/node", process.execPath, ...others])];
it.each(nodes)("its command runs and its client is imported with %s [PEO-8]", (node) => {
  const bin = join(project, "node_modules/.bin/mooring");
  expect(run(node, [bin, "--help"], project)).toContain("Agent sandboxes as leased sessions");
  const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as { version: string };
  expect(run(node, [bin, "--version"], project).trim()).toBe(version);
  const use = `import { Mooring } from "mooring"; import { MooringAdmin } from "mooring/client"; console.log(typeof Mooring, typeof MooringAdmin)`;
  expect(run(node, ["--input-type=module", "-e", use], project).trim()).toBe("function function");
});

it("its types compile under strict, without skipLibCheck [PEO-8]", () => {
  writeFileSync(
    join(project, "use.ts"),
    `import { Mooring, isProblem, type SessionView } from "mooring";
const mooring = new Mooring({ url: "http://x", key: "k" });
export const status: Promise<SessionView["status"]> = mooring.session("x").read().then((view) => view.status);
export const late = (error: unknown): boolean => isProblem(error, "session_gone");
`,
  );
  const flags = [
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--module",
    "nodenext",
    "--target",
    "es2024",
    "--lib",
    "es2024,dom,dom.iterable",
    "--types",
    "",
  ];
  run("tsc", [...flags, "use.ts"], project);
});

it("an outsider's provider is held against the kit from its package", () => {
  writeFileSync(
    join(project, "mine.ts"),
    `import { providerChecks, runCheck, type ProviderHarness, skeletonProvider, type Machines } from "mooring-provider-kit";
const unwritten = () => Promise.reject(new Error("not written yet"));
const machines: Machines = { identity: unwritten, recall: unwritten, store: unwritten, run: unwritten, find: unwritten, signal: unwritten, sleep: unwritten, fetch: unwritten, forget: () => {}, remove: unwritten };
let made = 0;
const harness: ProviderHarness = {
  open: async () => ({
    provider: skeletonProvider("memory", machines, {
      clock: { now: () => Date.now(), sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)) },
      ids: { id: () => String(made++).padStart(20, "0"), secret: () => "s".repeat(32), random: () => 0.5 },
    } as never),
    sessionId: () => String(made++).padStart(20, "0") as never,
    now: () => Date.now(),
    wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
    settle: (promise) => promise,
    jobs: { echo: (text: string) => "echo " + text, exit: (code: number) => "exit " + code, sleep: "sleep 300", ignoreTerm: "sleep 300", fork: "sleep 300", cat: "cat" },
    can: {},
    close: async () => {},
  }),
};
const declared = providerChecks.filter((check) => check.name.startsWith("what a provider declares"));
const launches = providerChecks.filter((check) => check.needs.length === 0 && /launch/.test(check.name)).slice(0, 1);
const results: string[] = [];
for (const check of [...declared, ...launches]) results.push(await runCheck(check, harness).catch(() => "broken"));
console.log(results.join(" "), providerChecks.length > 50);
`,
  );
  const flags = [
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2024",
    "--lib",
    "es2024,dom,dom.iterable,esnext.disposable",
    "--types",
    "",
  ];
  run("tsc", [...flags, "mine.ts"], project);
  // The declaration is true; a launch that was never written breaks the contract.
  expect(run("node", ["mine.js"], project).trim()).toBe("kept broken true");
});
