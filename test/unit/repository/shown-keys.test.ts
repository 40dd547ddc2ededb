/** What people copy: no request that is shown anywhere repeats itself when it is run a second time. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";

const shown = [
  "README.md",
  "docs/*.md",
  "docs/decisions/*.md",
  "examples/*.ts",
  "scripts/demo/*.ts",
  "scripts/stack/*.ts",
];
/** A header with its value, in a shell command, an object or a call. */
const header = /idempotency-key["']?\s*[:=]\s*["'`]?([^\s"'`,}]+)/gi;
/** Made when it is run. */
const made = /^(\$\(|\$\{|\$[A-Z]|str\(|crypto\.|randomUUID|freshKey|<)/;

it("[BUG-69] no example sends a constant Idempotency-Key: its second run would be answered with the session of the first", () => {
  const constants: string[] = [];
  for (const file of globSync(shown, { cwd: repository, exclude: ["docs/SPEC.md"] })) {
    const text = readFileSync(join(repository, file), "utf8");
    for (const [whole, value = ""] of text.matchAll(header)) if (!made.test(value)) constants.push(`${file}: ${whole}`);
  }
  expect(constants).toEqual([]);
  expect("-H 'idempotency-key: order-1'".match(header)).toHaveLength(1);
});
