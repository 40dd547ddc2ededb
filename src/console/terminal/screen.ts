/**
 * The screen of a terminal. A bundle of its own together with the library that draws it, loaded when a terminal is
 * opened.
 */
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import css from "@xterm/xterm/css/xterm.css" with { type: "text" };
import { allowAdoptedStyles } from "./adopted-style.ts";

export interface Screen {
  readonly size: () => { readonly cols: number; readonly rows: number };
  readonly show: (bytes: Uint8Array) => void;
  /** Writes a line of the page's own between the program's output. */
  readonly note: (text: string) => void;
  readonly clear: () => void;
  readonly focus: () => void;
  readonly close: () => void;
}

export interface ScreenOrder {
  readonly box: HTMLElement;
  readonly onTyped: (bytes: Uint8Array) => void;
  readonly onSize: (cols: number, rows: number) => void;
}

let isStyled = false;

export function openScreen({ box, onTyped, onSize }: ScreenOrder): Screen {
  allowAdoptedStyles();
  if (!isStyled) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets.push(sheet);
    isStyled = true;
  }
  const terminal = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: getComputedStyle(box).getPropertyValue("--mono").trim() || "monospace",
    fontSize: 13,
    scrollback: 10_000,
    screenReaderMode: true,
    theme: themeOf(box),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  fit.fit();
  // Tab goes to the program, so the keyboard needs another way to leave the terminal: Ctrl-F6.
  terminal.attachCustomKeyEventHandler(({ key, ctrlKey }) => {
    if (key !== "F6" || !ctrlKey) return true;
    document.querySelector<HTMLElement>("main h1")?.focus();
    return false;
  });
  const encoder = new TextEncoder();
  terminal.onData((text) => onTyped(encoder.encode(text)));
  // Bytes that are not text, such as reports of the mouse.
  terminal.onBinary((text) => onTyped(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => onSize(cols, rows));
  const watching = new ResizeObserver(() => fit.fit());
  watching.observe(box);
  // The page's theme may change while the terminal is open.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => (terminal.options.theme = themeOf(box));
  dark.addEventListener("change", dress);
  const chosen = new MutationObserver(dress);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return {
    size: () => ({ cols: terminal.cols, rows: terminal.rows }),
    show: (bytes) => terminal.write(bytes),
    note: (text) => terminal.write(`\r\n\x1b[2m${text}\x1b[0m\r\n`),
    clear: () => terminal.reset(),
    focus: () => terminal.focus(),
    close: () => {
      watching.disconnect();
      chosen.disconnect();
      dark.removeEventListener("change", dress);
      terminal.dispose();
    },
  };
}

/** The page's colours for text and ground; the sixteen colours of programs can be read on both themes. */
function themeOf(box: HTMLElement): ITheme {
  const style = getComputedStyle(box);
  const isDark =
    style.colorScheme === "dark" ||
    (style.colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  const common = { background: style.backgroundColor, foreground: style.color, cursor: style.color };
  return isDark
    ? {
        ...common,
        selectionBackground: "#2f5c55",
        black: "#26312e",
        red: "#ff8f85",
        green: "#5fd38d",
        yellow: "#f0b45b",
        blue: "#7db8f5",
        magenta: "#d6a1f2",
        cyan: "#4fd1c1",
        white: "#c9d4d0",
        brightBlack: "#8b9a95",
        brightRed: "#ffb3ac",
        brightGreen: "#8fe6b1",
        brightYellow: "#f7cf92",
        brightBlue: "#a9d0fa",
        brightMagenta: "#e6c4f8",
        brightCyan: "#8ae5d9",
        brightWhite: "#ffffff",
      }
    : {
        ...common,
        selectionBackground: "#bfe3dd",
        black: "#14201d",
        red: "#b3261e",
        green: "#15703d",
        yellow: "#8a5200",
        blue: "#1d5fa8",
        magenta: "#7d3aa8",
        cyan: "#0b6b63",
        white: "#5f6f6a",
        brightBlack: "#465651",
        brightRed: "#c93a31",
        brightGreen: "#1c8549",
        brightYellow: "#a36200",
        brightBlue: "#2f74c0",
        brightMagenta: "#9450bf",
        brightCyan: "#12857b",
        brightWhite: "#14201d",
      };
}
