/**
 * `npm run spec`: rewrites the generated part of docs/SPEC.md, the map from every id of docs/CHECKLIST.md and every invariant
 * to the tests that name it, and back. `-- --check` only says whether it is up to date (part of `npm run check`).
 * An id in brackets inside a test's name is the whole mechanism: `it("a late launch is refused [PHY-10]")`.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { format, resolveConfig } from "prettier";
import { readCommandLine } from "../command-line.ts";
import { repository } from "../repository.ts";

const specPath = resolve(repository, "docs/SPEC.md");
const begin = "<!-- generated: npm run spec -->";
const end = "<!-- end of generated -->";
/** Faults that were found and mended: each is named by the test that failed before. Their list is their tests. */
const isFault = (id: string): boolean => /^(BUG|SIM)-\d+$/.test(id);
const invariants = Array.from({ length: 12 }, (_, index) => `I${index + 1}`);

interface Proof {
  readonly file: string;
  readonly title: string;
}

/** Every string literal that ends up as a test's name and carries ids. */
function proofs(): Map<string, Proof[]> {
  const found = new Map<string, Proof[]>();
  const literal = /(["'`])((?:\\.|(?!\1)[^\\\n])*\[(?:[A-Z]{3}-\d+|I\d{1,2})(?:\\.|(?!\1)[^\\\n])*)\1/g;
  for (const file of globSync("test/**/*.ts", { cwd: repository }).sort()) {
    const text = readFileSync(resolve(repository, file), "utf8");
    for (const match of text.matchAll(literal)) {
      const title = match[2] ?? "";
      const ids = [...title.matchAll(/\[([^\]]+)\]/g)].flatMap((each) => (each[1] ?? "").split(/[\s,;]+/));
      for (const id of ids.filter((each) => /^([A-Z]{3}-\d+|I\d{1,2})$/.test(each))) {
        const words = title.replace(/\s*\[[^\]]*\]/g, "").trim();
        found.set(id, [
          ...(found.get(id) ?? []),
          { file: relative(repository, resolve(repository, file)), title: words },
        ]);
      }
    }
  }
  return found;
}

function behaviours(): readonly { readonly id: string; readonly words: string }[] {
  const text = readFileSync(resolve(repository, "docs/CHECKLIST.md"), "utf8");
  return [...text.matchAll(/^- ([A-Z]{3}-\d+) (.*)$/gm)].map((match) => ({
    id: match[1] ?? "",
    words: match[2] ?? "",
  }));
}

function entry(id: string, words: string, list: readonly Proof[] | undefined): readonly string[] {
  const head = words === "" ? `- **${id}**` : `- **${id}** ${words}`;
  if (list === undefined) return [head, "  - _no test names it yet_"];
  const byFile = new Map<string, string[]>();
  for (const { file, title } of list) byFile.set(file, [...(byFile.get(file) ?? []), title]);
  return [head, ...[...byFile].map(([file, titles]) => `  - \`${file}\`: ${titles.join("; ")}`)];
}

/** The other way round: what a failing file puts in doubt. */
function byFile(found: ReadonlyMap<string, readonly Proof[]>): readonly string[] {
  const ids = new Map<string, Set<string>>();
  for (const [id, list] of found) for (const { file } of list) ids.set(file, (ids.get(file) ?? new Set()).add(id));
  return [...ids]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, set]) => `- \`${file}\`: ${[...set].sort().join(", ")}`);
}

function byNumber(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}

export function generated(): string {
  const found = proofs();
  const known = behaviours();
  const named = known.filter(({ id }) => found.has(id)).length;
  const faults = [...found.keys()].filter(isFault).sort(byNumber);
  const isKnown = (id: string): boolean =>
    known.some((each) => each.id === id) || invariants.includes(id) || isFault(id);
  const strangers = [...found.keys()].filter((id) => !isKnown(id));
  if (strangers.length > 0) throw new Error(`Tests name ids that are in no list: ${strangers.sort().join(", ")}.`);
  return [
    begin,
    "",
    `${named} of the ${known.length} behaviours of [CHECKLIST.md](CHECKLIST.md) are named by tests.`,
    "",
    "### Invariants → tests",
    "",
    ...invariants.flatMap((id) => entry(id, "", found.get(id))),
    "",
    "### Behaviours → tests",
    "",
    ...known.flatMap(({ id, words }) => entry(id, words, found.get(id))),
    "",
    "### Faults that were found → tests",
    "",
    ...faults.flatMap((id) => entry(id, "", found.get(id))),
    "",
    "### Tests → ids",
    "",
    ...byFile(found),
    "",
    end,
  ].join("\n");
}

const { values } = readCommandLine("Usage: npm run spec -- [--check]", {
  options: { check: { type: "boolean", default: false } },
});
const spec = readFileSync(specPath, "utf8");
const from = spec.indexOf(begin);
const to = spec.indexOf(end);
if (from < 0 || to < from) throw new Error("docs/SPEC.md has lost its markers for the generated part.");
const next = await format(spec.slice(0, from) + generated() + spec.slice(to + end.length), {
  ...(await resolveConfig(specPath)),
  parser: "markdown",
});
if (!values.check) {
  writeFileSync(specPath, next);
  process.stdout.write("docs/SPEC.md is up to date.\n");
} else if (next !== spec) {
  process.stderr.write("docs/SPEC.md does not match the tests: run `npm run spec` and look at the difference.\n");
  process.exitCode = 1;
}
