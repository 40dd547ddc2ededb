/**
 * What the terminal's library has instead of a `<style>` element, which the console's policy refuses: the same text becomes a sheet
 * that the page adopts, and a policy allows what its own scripts do to sheets. The build puts it into the library.
 */
import { adoptedStyleTag } from "./adopted-style-tag.ts";

class AdoptedStyle extends HTMLElement {
  readonly #sheet = new CSSStyleSheet();

  override get textContent(): string {
    return "";
  }

  override set textContent(css: string | null) {
    this.#sheet.replaceSync(css ?? "");
  }

  connectedCallback(): void {
    this.hidden = true;
    document.adoptedStyleSheets.push(this.#sheet);
  }

  disconnectedCallback(): void {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== this.#sheet);
  }
}

/** Before the library draws anything. */
export function allowAdoptedStyles(): void {
  if (customElements.get(adoptedStyleTag) === undefined) customElements.define(adoptedStyleTag, AdoptedStyle);
}
