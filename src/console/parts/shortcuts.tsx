/** Keyboard shortcuts: one table, which the help dialog shows and the listener obeys. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { go } from "../data/route.ts";
import { Dialog } from "./dialog.tsx";

export const shortcutsShown = signal(false);

const everywhere: readonly (readonly [string, string, () => void])[] = [
  ["g a", "Attention", () => go("/console")],
  ["g s", "Sessions", () => go("/console/sessions")],
  ["g f", "Fleet", () => go("/console/fleet")],
  ["g l", "Ledger", () => go("/console/ledger")],
  ["?", "This help", () => (shortcutsShown.value = true)],
];
const inLists: readonly (readonly [string, string])[] = [
  ["j  k", "Next row, row before"],
  ["x", "Mark the row"],
  ["Enter", "Open the row"],
  ["/", "Search"],
  ["Esc", "Close, or take the marks back"],
];

/** Whether the key is typed into a field, where it is no shortcut. */
export function isTyping(event: KeyboardEvent): boolean {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  if (document.querySelector("dialog[open]") !== null) return true;
  return (
    target instanceof HTMLElement && (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable)
  );
}

export function Shortcuts() {
  useEffect(() => {
    let leader = "";
    function onKey(event: KeyboardEvent): void {
      if (isTyping(event)) return;
      const typed = leader === "" ? event.key : `${leader} ${event.key}`;
      leader = event.key === "g" && leader === "" ? "g" : "";
      const found = everywhere.find(([keys]) => keys === typed);
      if (found === undefined) return;
      event.preventDefault();
      found[2]();
    }
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  if (!shortcutsShown.value) return null;
  return (
    <Dialog title="Keyboard" onClose={() => (shortcutsShown.value = false)}>
      <dl class="keys">
        {[...everywhere, ...inLists].map(([keys, words]) => (
          <div key={keys}>
            <dt>
              {keys
                .split(" ")
                .filter(Boolean)
                .map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
            </dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
