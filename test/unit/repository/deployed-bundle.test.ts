/** What a deploy uploads: the files that the entry point reaches, as the bundler sees them. */
import { build } from "esbuild";
import { expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";

async function filesReachedFrom(entry: string): Promise<readonly string[]> {
  const { metafile } = await build({
    absWorkingDir: repository,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
  });
  return Object.keys(metafile.inputs);
}

it("the simulator travels with the Worker of the tests and not with the deployed one", async () => {
  const ofTests = (file: string) => file.startsWith("test/");
  expect((await filesReachedFrom("src/index.ts")).filter(ofTests)).toEqual([]);
  expect(await filesReachedFrom("test/support/workers/composed.ts")).toContain("test/memory/memory-sandbox.ts");
});
