/** The agent's program is built by whoever starts a stack, several at once, while others start sandboxes from it. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";

const directory = mkdtempSync(join(tmpdir(), "mooring-build-"));
const outfile = join(directory, "wrapper.js");
afterAll(() => rmSync(directory, { recursive: true }));

it("is whole at every moment, with each part once", async () => {
  const build = () =>
    promisify(execFile)(process.execPath, ["scripts/builds/build-wrapper.ts", outfile], { cwd: repository });
  let building = 3;
  const built = Promise.all([build(), build(), build()].map((each) => each.finally(() => (building -= 1))));
  const seen = new Set<string>();
  const look = (): void => {
    const text = (() => {
      try {
        return readFileSync(outfile, "latin1");
      } catch {
        return null;
      }
    })();
    if (text !== null) seen.add(`${text.split("\nmooring-part-").length - 1} parts, ${text.endsWith("\n*/\n")}`);
  };
  while (building > 0) {
    look();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await built;
  // Where this process had no turn while the others built, it has not looked yet.
  look();
  expect([...seen]).toEqual(["2 parts, true"]);
});
