/** The frame around every page: which page it is, the navigation, and who is signed in. */
import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { IdentityView } from "../../protocol/resources/service/console.ts";
import { identity, signOut } from "../data/identity.ts";
import { route } from "../data/route.ts";
import { announcement, Command } from "./bits.tsx";
import { Icon, type IconName } from "./icon.tsx";
import { Shortcuts, shortcutsShown } from "./shortcuts.tsx";

interface Entry {
  readonly view: string;
  readonly name: string;
  readonly icon: IconName;
  /** Who sees the entry. */
  readonly for: "all" | "operator" | "tenant";
}

export const entries: readonly Entry[] = [
  { view: "", name: "Attention", icon: "bell", for: "all" },
  { view: "sessions", name: "Sessions", icon: "boxes", for: "all" },
  { view: "fleet", name: "Fleet", icon: "gauge", for: "operator" },
  { view: "ledger", name: "Ledger", icon: "scale", for: "operator" },
  { view: "audits", name: "Audits", icon: "clipboard", for: "operator" },
  { view: "containers", name: "Containers", icon: "plug", for: "operator" },
  { view: "keys", name: "Keys", icon: "key", for: "operator" },
  { view: "snapshots", name: "Snapshots", icon: "layers", for: "tenant" },
  { view: "webhooks", name: "Webhooks", icon: "hook", for: "tenant" },
  { view: "log", name: "Admin log", icon: "list", for: "operator" },
];

export function entriesFor(who: IdentityView): readonly Entry[] {
  return entries.filter(
    (each) => each.for === "all" || (each.for === "operator" ? who.operator !== null : who.tenant !== null),
  );
}

/** How many things need attention, as the first page last counted them; null: not known. */
export const attentionCount = signal<number | null>(null);

export function Shell({ children }: { readonly children: ComponentChildren }) {
  const open = useSignal(false);
  const who = identity.value;
  if (who === null) return null;
  return (
    <div class={`shell ${open.value ? "open" : ""}`}>
      <a class="skip" href="#main" onClick={() => document.querySelector<HTMLElement>("main h1")?.focus()}>
        Skip to the page
      </a>
      <header class="bar">
        <a class="brand" href="/console">
          <Icon name="anchor" /> Mooring
        </a>
        <button
          type="button"
          class="ghost menu"
          aria-expanded={open.value}
          aria-controls="navigation"
          onClick={() => (open.value = !open.value)}
        >
          <Icon name={open.value ? "close" : "menu"} />
          <span class="unseen">Menu</span>
        </button>
      </header>
      <nav id="navigation" aria-label="Pages" onClick={() => (open.value = false)}>
        <a class="brand" href="/console">
          <Icon name="anchor" /> Mooring
        </a>
        <ul>
          {entriesFor(who).map(({ view, name, icon }) => (
            <li key={view}>
              <a
                href={`/console${view === "" ? "" : `/${view}`}`}
                aria-current={route.value.view === view ? "page" : undefined}
              >
                <Icon name={icon} />
                {name}
                {view === "" && (attentionCount.value ?? 0) > 0 && <b class="count">{attentionCount.value}</b>}
              </a>
            </li>
          ))}
        </ul>
        <div class="foot">
          <Who who={who} />
          <a href="/docs" target="_blank" rel="noreferrer">
            <Icon name="book" /> Docs
          </a>
          <button type="button" class="ghost" onClick={() => (shortcutsShown.value = true)}>
            <kbd>?</kbd> Keyboard
          </button>
          <Theme />
          <button type="button" class="ghost" onClick={() => void signOut()}>
            <Icon name="out" /> Sign out
          </button>
        </div>
      </nav>
      <main id="main">{children}</main>
      <Shortcuts />
      <div class={`toast ${announcement.value === "" ? "" : "shown"}`} role="status" aria-live="polite">
        {announcement.value}
      </div>
    </div>
  );
}

function Who({ who }: { readonly who: IdentityView }) {
  return (
    <div class="who small">
      {who.operator !== null && <div>Operator</div>}
      {who.tenant !== null && (
        <div>
          Tenant <b>{who.tenant.name}</b>
        </div>
      )}
      {(who.operator === null || who.tenant === null) && (
        <a href="/console/login">{who.operator === null ? "Add the admin token" : "Add an API key"}</a>
      )}
    </div>
  );
}

const themes = ["", "light", "dark"] as const;
const theme = signal<string>(localStorage.getItem("theme") ?? "");
theme.subscribe((chosen) => {
  if (chosen === "") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem("theme");
  } else {
    document.documentElement.dataset["theme"] = chosen;
    localStorage.setItem("theme", chosen);
  }
});

function Theme() {
  const words = { "": "As the system", light: "Light", dark: "Dark" }[theme.value] ?? "As the system";
  return (
    <button
      type="button"
      class="ghost"
      aria-label={`Colours: ${words}`}
      onClick={() => (theme.value = themes[(themes.indexOf(theme.value as "") + 1) % themes.length] ?? "")}
    >
      <Icon name={theme.value === "dark" ? "moon" : "sun"} /> {words}
    </button>
  );
}

/** The head of a page: its title, its acts, and the command line that does the same. */
export function Page({
  title,
  lead,
  command,
  actions,
  children,
}: {
  readonly title: ComponentChildren;
  readonly lead?: ComponentChildren;
  readonly command: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  return (
    <>
      <header class="page">
        <div>
          <h1 tabIndex={-1}>{title}</h1>
          {lead !== undefined && <div class="lead">{lead}</div>}
        </div>
        <div class="actions">{actions}</div>
      </header>
      {children}
      <footer class="page">
        <Command line={command} />
      </footer>
    </>
  );
}
