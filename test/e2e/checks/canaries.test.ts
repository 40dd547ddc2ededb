/**
 * Broken on purpose: each canary is one plausible mistake in the real sources, and the suite that claims the behaviour must
 * notice it. A canary that survives means that a guarantee is not guarded any more. Here a sample is run, one of
 * each kind; `npm run canaries` runs all of them.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";
import { canaries } from "../../canaries/canaries.ts";
import { byTests } from "../../canaries/canary.ts";
import { brokenBy, CanaryTree } from "../../support/canary-tree.ts";

/** Quick ones: a handful of unit files, and the three that once nobody caught. */
const sample: ReadonlySet<string> = new Set([
  "unknown read as absent [I4]",
  "a generation reused [I2]",
  "an unknown look dispatched as absent [I4]",
  "a write beside the machine that is not armed for [I5]",
  "rows erased although nobody confirmed the last report [DEL-5]",
  "quota freed when the stop begins [I11]",
  "a stop by session instead of instance [LEA-9]",
]);

let tree: CanaryTree | null = null;
const copy = () => (tree ??= new CanaryTree());
afterAll(() => tree?.remove());

describe("the broken variants", () => {
  it("are at least forty, each of another name", () => {
    expect(canaries.length).toBeGreaterThanOrEqual(40);
    expect(new Set(canaries.map(({ name }) => name)).size).toBe(canaries.length);
    for (const name of sample) expect(canaries.map((each) => each.name)).toContain(name);
  });

  it.each(canaries)("breaks something that is there: $name", ({ edits }) => {
    for (const edit of edits) {
      const text = readFileSync(join(repository, edit.file), "utf8");
      expect(brokenBy(edit, text)).not.toBe(text);
    }
  });

  // A file that is not there would fail to load, and count as having noticed.
  it.each(canaries)("names tests that are there: $name", ({ by }) => {
    if (by.type === "tests") for (const file of by.files) expect(existsSync(join(repository, file)), file).toBe(true);
  });

  it.each(canaries.filter(({ name }) => sample.has(name)))(
    "is noticed: $name",
    { timeout: 900_000 },
    async (canary) => {
      const { noticed, words } = await copy().run(canary);
      expect(noticed, words).toBe(true);
    },
  );

  it("is the only thing that fails: unbroken, the same file passes", async () => {
    const { noticed, words } = await copy().run({ edits: [], by: byTests("unit/domain/stop/proof") });
    expect(noticed, words).toBe(false);
  });
});
