/** The docs' only script: the search, and opening the operation that the address names. */

interface Section {
  readonly p: string;
  readonly a: string;
  readonly h: string;
  readonly t: string;
  readonly x: string;
}

const form = document.querySelector<HTMLFormElement>("form.find");
const input = form?.querySelector("input") ?? null;
const found = form?.querySelector("ol") ?? null;
const shown = 12;
let index: Promise<readonly Section[]> | null = null;

/** Loaded when somebody first searches. */
function sections(): Promise<readonly Section[]> {
  index ??= fetch(form?.dataset["index"] ?? "").then((answer) => answer.json() as Promise<readonly Section[]>);
  return index;
}

/** Every word must occur; a word in the heading counts most. */
function rank(section: Section, words: readonly string[]): number {
  const heading = section.h.toLowerCase();
  const page = section.t.toLowerCase();
  const text = section.x.toLowerCase();
  let score = 0;
  for (const word of words) {
    const at = text.indexOf(word);
    const points = (heading.includes(word) ? 12 : 0) + (page.includes(word) ? 4 : 0) + (at >= 0 ? 2 : 0);
    if (points === 0) return 0;
    score += points + (heading.startsWith(word) ? 4 : 0);
  }
  return score;
}

async function search(): Promise<void> {
  if (input === null || found === null) return;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.hidden = words.length === 0;
  if (words.length === 0) return;
  const all = await sections();
  const best = all
    .map((section) => ({ section, score: rank(section, words) }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, shown);
  found.replaceChildren(
    ...(best.length === 0 ? [nothing()] : best.map(({ section }) => itemOf(section, words[0] ?? ""))),
  );
}

function nothing(): HTMLLIElement {
  const item = document.createElement("li");
  item.textContent = "Nothing is called so. Try fewer or other words.";
  return item;
}

function itemOf({ p, a, h, t, x }: Section, word: string): HTMLLIElement {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `/docs/${p}#${a}`;
  const title = document.createElement("b");
  title.textContent = h;
  const where = document.createElement("small");
  where.textContent = ` ${t}`;
  const text = document.createElement("span");
  const at = Math.max(0, x.toLowerCase().indexOf(word) - 40);
  text.textContent = `${at > 0 ? "… " : ""}${x.slice(at, at + 140)}`;
  link.append(title, where, text);
  item.append(link);
  return item;
}

input?.addEventListener("input", () => void search());
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  found?.querySelector("a")?.click();
});
form?.addEventListener("keydown", (event) => {
  const links = [...(found?.querySelectorAll("a") ?? [])];
  const at = links.indexOf(document.activeElement as HTMLAnchorElement);
  if (event.key === "Escape" && input !== null) {
    input.value = "";
    void search();
  } else if (event.key === "ArrowDown") links[Math.min(links.length - 1, at + 1)]?.focus();
  else if (event.key === "ArrowUp") (at <= 0 ? input : links[at - 1])?.focus();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  input?.focus();
});

/** Opens the operation that the address names: its closed entry would show only a heading. */
function reveal(): void {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}
window.addEventListener("hashchange", reveal);
if (location.hash !== "") reveal();
