/** What the search looks through: one entry for each section, with its words. */
import type { DocsPage } from "./pages.ts";

export interface Section {
  /** Page, anchor, heading, title of the page, text. */
  readonly p: string;
  readonly a: string;
  readonly h: string;
  readonly t: string;
  readonly x: string;
}

/** Enough to find a section and to show why it was found. */
const kept = 700;

export function sectionsOf(page: DocsPage): readonly Section[] {
  const starts = page.headings
    .map((heading) => ({ heading, at: page.html.indexOf(`id="${heading.anchor}"`) }))
    .filter(({ at }) => at >= 0);
  return starts.map(({ heading, at }, index) => ({
    p: page.slug,
    a: heading.anchor,
    h: heading.title,
    t: page.title,
    x: textOf(page.html.slice(at, starts[index + 1]?.at ?? page.html.length)).slice(0, kept),
  }));
}

function textOf(html: string): string {
  const text = html.slice(html.indexOf(">") + 1).replaceAll(/<[^>]*>/g, " ");
  const plain = text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
  return plain.replaceAll(/\s+/g, " ").trim();
}
