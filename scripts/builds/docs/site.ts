/** The frame of every page: where one is, what else there is, and the search. */
import type { DocsPage } from "./pages.ts";

export interface SiteFiles {
  readonly script: string;
  readonly style: string;
  readonly search: string;
}

const groups = ["Guide", "Operating", "Inside", "Decisions"];

export function htmlOf(page: DocsPage, pages: readonly DocsPage[], files: SiteFiles): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(page.title)} · Mooring</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/${files.style}">
<script type="module" src="/docs/${files.script}"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the page</a>
<header class="top">
<a class="brand" href="/docs">Mooring <span>docs</span></a>
<form role="search" class="find" action="/docs" data-index="/docs/${files.search}"><input type="search" name="q" aria-label="Search the docs" placeholder="Search ( / )" autocomplete="off"><ol class="found" hidden></ol></form>
<a class="to-pages" href="#pages">Pages</a>
<a href="/console">Console</a>
</header>
<div class="site">
<nav id="pages" aria-label="Pages">${groups.map((group) => groupHtml(group, pages, page)).join("")}</nav>
<main id="content" tabindex="-1">
<article>${page.html.replaceAll("<pre>", '<pre tabindex="0">')}</article>
</main>
${contents(page)}
</div>
</body>
</html>
`;
}

function groupHtml(group: string, pages: readonly DocsPage[], current: DocsPage): string {
  const own = pages.filter((each) => each.group === group);
  const items = own
    .map((each) => {
      const here = each.slug === current.slug ? ' aria-current="page"' : "";
      return `<li><a href="/docs${each.slug === "start" ? "" : `/${each.slug}`}"${here}>${escape(each.title)}</a></li>`;
    })
    .join("");
  // Decisions are many and rarely looked for: they stay folded unless one is shown.
  const open = group !== "Decisions" || current.group === group ? " open" : "";
  return `<details${open}><summary>${group}</summary><ul>${items}</ul></details>`;
}

function contents({ headings }: DocsPage): string {
  const shown = headings.filter(({ level }) => level === 2);
  if (shown.length < 3) return "<aside></aside>";
  return `<aside aria-label="On this page"><b>On this page</b><ul>${shown.map(({ anchor, title }) => `<li><a href="#${anchor}">${escape(title)}</a></li>`).join("")}</ul></aside>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
