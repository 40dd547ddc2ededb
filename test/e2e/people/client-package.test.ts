/** The client as others get it: built, put into a stranger's node_modules, imported and type-checked there. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";

let project: string;

function run(command: string, args: readonly string[], cwd = project): string {
  const ran = spawnSync(command, args, { cwd, env: toolEnvironment(), encoding: "utf8" });
  expect(`${ran.stdout}${ran.stderr}`.trim().slice(0, 2_000) + String(ran.status)).toMatch(/0$/);
  return ran.stdout.trim();
}

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "mooring-client-"));
  const installed = join(project, "node_modules/mooring");
  mkdirSync(installed, { recursive: true });
  run("node", [join(repository, "scripts/builds/build-client.ts"), join(installed, "dist")], repository);
  copyFileSync(join(repository, "package.json"), join(installed, "package.json"));
  // Its one dependency that the types name.
  symlinkSync(join(repository, "node_modules/zod"), join(project, "node_modules/zod"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

it("is one module that imports nothing, small, and without a trace of Node [API-10]", async () => {
  const text = readFileSync(join(project, "node_modules/mooring/dist/client/mooring.js"), "utf8");
  // The bundler names each source file in a comment.
  const code = text.replaceAll(/^\/\/ src\/.*$/gm, "");
  expect(/^\s*import\b|\brequire\(|\bimport\(|node:|\bprocess\.|\bBuffer\b/m.exec(code)?.[0]).toBeUndefined();
  // Bundled for a browser, minified, with files, processes and terminals: a change of this size deserves a look.
  const { outputFiles } = await build({
    stdin: { contents: `export { Mooring } from "mooring/client"`, resolveDir: project },
    bundle: true,
    minify: true,
    platform: "browser",
    format: "esm",
    write: false,
  });
  expect(outputFiles[0]?.contents.length).toBeLessThan(40_000);
});

it("is imported by its name, in Node as it is [API-10]", () => {
  const script = `import { Mooring } from "mooring/client"; console.log(typeof new Mooring({ url: "http://x", key: "k" }).create)`;
  expect(run("node", ["--input-type=module", "-e", script])).toBe("function");
});

it("brings its types: a right use compiles, a wrong one does not [API-10]", () => {
  const compile = (source: string) => {
    writeFileSync(join(project, "use.ts"), source);
    const args = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--lib", "es2024,dom,dom.iterable"];
    return spawnSync("tsc", [...args, "--target", "es2024", "use.ts"], {
      cwd: project,
      env: toolEnvironment(),
      encoding: "utf8",
    });
  };
  const head = `import { Mooring, type SessionView } from "mooring/client";\nconst mooring = new Mooring({ url: "http://x", key: "k" });\n`;
  const right =
    compile(`${head}export const status: Promise<SessionView["status"]> = mooring.session("x").read().then((s) => s.status);\n
    export async function* texts() { for await (const { text } of (await mooring.create({ labels: { a: "b" } })).job("j").output()) yield text.length; }\n`);
  expect(right.stdout).toBe("");
  const wrong = compile(
    `${head}void mooring.create({ idle_timeout_secs: 5 });\nvoid mooring.session("x").read().then((s) => s.stats);\n`,
  );
  expect(wrong.stdout).toContain("idle_timeout_secs");
  expect(wrong.stdout).toContain("'stats' does not exist");
});
