/**
 * The parts of the docs page that are not ours, copied from the package beside ours: assets/docs/vendor, not in git.
 * wrangler runs it before `dev` and `deploy` (`[build]` in wrangler.toml), so that the page needs no network but Mooring's own.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { repository } from "./repository.ts";

const from = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
const to = join(repository, "assets/docs/vendor");
mkdirSync(to, { recursive: true });
for (const file of ["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "LICENSE", "NOTICE"]) {
  const content = readFileSync(join(from, file));
  // wrangler watches the folder: a file that is written although nothing changed would start this again, for ever.
  if (!present(join(to, file))?.equals(content)) writeFileSync(join(to, file), content);
}

function present(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}
