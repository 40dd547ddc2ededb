/** The Markdown pages: which there are, in which order, and each as HTML with its headings. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import MarkdownIt from "markdown-it";
import { repository } from "../../repository.ts";

export interface Heading {
  readonly level: number;
  readonly anchor: string;
  readonly title: string;
}

export interface DocsPage {
  /** Its address is /docs/<slug>; of the first page /docs. */
  readonly slug: string;
  readonly title: string;
  readonly group: string;
  readonly html: string;
  readonly headings: readonly Heading[];
  /** Long tables of proofs and figures would drown what people look for. */
  readonly searched: boolean;
}

type Entry = readonly [file: string, slug: string, title: string];

const order: readonly (readonly [group: string, pages: readonly Entry[]])[] = [
  [
    "Guide",
    [
      ["README.md", "start", "Start here"],
      ["docs/api.md", "guide", "Using the API"],
      ["docs/compat.md", "compat", "Compatibility"],
      ["docs/cli.md", "cli", "Command line"],
      ["docs/console.md", "console", "Console"],
      ["docs/mcp.md", "mcp", "MCP"],
    ],
  ],
  [
    "Operating",
    [
      ["docs/operations.md", "operations", "Operations"],
      ["docs/security.md", "security", "Security"],
      ["docs/containers.md", "containers", "Containers"],
      ["docs/shared.md", "shared", "Shared containers"],
      ["docs/scale.md", "scale", "Scale"],
      ["docs/performance.md", "performance", "Performance"],
    ],
  ],
  [
    "Inside",
    [
      ["docs/map.md", "map", "Map of the code"],
      ["docs/providers.md", "providers", "Writing a provider"],
      ["docs/simulation.md", "simulation", "Fault simulation"],
      ["docs/chaos.md", "chaos", "Chaos"],
      ["docs/bench.md", "bench", "Figures"],
      ["docs/mutation.md", "mutation", "Mutation tests"],
      ["docs/SPEC.md", "spec", "Specification"],
      ["docs/CHECKLIST.md", "checklist", "Checklist"],
      ["CHANGELOG.md", "changelog", "Changelog"],
      ["CONTRIBUTING.md", "contributing", "Contributing"],
    ],
  ],
];

const notSearched = new Set(["spec", "checklist", "simulation", "chaos", "bench", "mutation"]);

interface Source {
  readonly file: string;
  readonly slug: string;
  readonly title: string;
  readonly group: string;
}

export function readPages(): readonly DocsPage[] {
  const there = order.flatMap(([group, pages]) =>
    pages.flatMap(([file, slug, title]) => (isThere(file) ? [{ file, slug, title, group }] : [])),
  );
  const sources: readonly Source[] = [...there, ...decisions()];
  const slugs = new Map(sources.map(({ file, slug }) => [file, slug]));
  return sources.map((source) => pageOf(source, slugs));
}

function isThere(file: string): boolean {
  try {
    return readFileSync(join(repository, file)).length > 0;
  } catch {
    return false;
  }
}

function decisions(): readonly Source[] {
  return readdirSync(join(repository, "docs/decisions"))
    .filter((name) => name.endsWith(".md"))
    .toSorted()
    .map((name) => ({
      file: `docs/decisions/${name}`,
      slug: `decision-${basename(name, ".md")}`,
      title: titleIn(readFileSync(join(repository, "docs/decisions", name), "utf8")),
      group: "Decisions",
    }));
}

function titleIn(text: string): string {
  return (/^# (.+)$/m.exec(text)?.[1] ?? "").replace(/^\d+[.:]?\s*/, "").replaceAll("`", "");
}

/** As headings are addressed on code hosts, so that links between the files work here too. */
export function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");
}

function pageOf({ file, slug, title, group }: Source, slugs: ReadonlyMap<string, string>): DocsPage {
  const markdown = new MarkdownIt({ html: false, linkify: false, typographer: false });
  const headings: Heading[] = [];
  const tokens = markdown.parse(readFileSync(join(repository, file), "utf8"), {});
  tokens.forEach((token, index) => {
    if (token.type !== "heading_open") return;
    const words = (tokens[index + 1]?.children ?? []).map(({ content }) => content).join("");
    const anchor = anchorOf(words);
    token.attrSet("id", anchor);
    headings.push({ level: Number(token.tag.slice(1)), anchor, title: words });
  });
  for (const token of tokens)
    for (const child of token.children ?? []) {
      if (child.type === "link_open")
        child.attrSet("href", addressOf(String(child.attrGet("href") ?? ""), file, slugs));
      if (child.type === "image") child.attrSet("src", imageOf(String(child.attrGet("src") ?? "")));
    }
  const html = markdown.renderer
    .render(tokens, markdown.options, {})
    .replaceAll("<table>", '<div class="table" tabindex="0"><table>')
    .replaceAll("</table>", "</table></div>");
  return { slug, title, group, html, headings, searched: !notSearched.has(slug) };
}

/** A link to another page, or to a file of the repository, which this site does not have: the latter leads to the start. */
function addressOf(href: string, from: string, slugs: ReadonlyMap<string, string>): string {
  if (/^([a-z]+:|#|\/)/.test(href)) return href;
  const [path = "", anchor] = href.split("#");
  const file = join(from, "..", path);
  const slug = slugs.get(file);
  const at = anchor === undefined ? "" : `#${anchor}`;
  return slug === undefined ? "/docs" : `/docs/${slug}${at}`;
}

function imageOf(source: string): string {
  return source.startsWith("docs/images/") ? `/docs/${basename(source)}` : source;
}
