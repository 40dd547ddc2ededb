/** The address holds the whole state of the page, so a link shows somebody else the same. */
import { signal } from "@preact/signals";

export interface Route {
  /** The first segment after /console; "" for the first page. */
  readonly view: string;
  /** The second segment; "" for none. */
  readonly subject: string;
  readonly query: URLSearchParams;
}

export const route = signal<Route>(readRoute());

window.addEventListener("popstate", () => {
  route.value = readRoute();
});

function readRoute(): Route {
  const [, , view = "", subject = ""] = location.pathname.split("/");
  return { view, subject: decodeURIComponent(subject), query: new URLSearchParams(location.search) };
}

export function go(path: string, how: "push" | "replace" = "push"): void {
  if (path === location.pathname + location.search) return;
  if (how === "push") history.pushState(null, "", path);
  else history.replaceState(null, "", path);
  const before = route.peek();
  route.value = readRoute();
  // A new page starts at its top, and its heading gets the focus, so that a screen reader reads it next.
  if (how === "push" && (before.view !== route.peek().view || before.subject !== route.peek().subject)) {
    window.scrollTo(0, 0);
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true }));
  }
}

/** Changes parameters of the address. "" or null removes a parameter. */
export function setQuery(changes: Readonly<Record<string, string | null>>, how: "push" | "replace" = "replace"): void {
  const query = new URLSearchParams(route.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(`${location.pathname}${text === "" ? "" : `?${text}`}`, how);
}

/** A click on a link of the console changes the page without loading it, unless another tab was asked for. */
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.target !== "" || link.hasAttribute("download")) return;
  const url = new URL(link.href, location.href);
  if (url.origin !== location.origin || !/^\/console(\/|$)/.test(url.pathname)) return;
  event.preventDefault();
  go(url.pathname + url.search);
});
