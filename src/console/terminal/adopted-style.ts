/**
 * Replaces the `<style>` element of the terminal's library, which the console's Content-Security-Policy refuses: its
 * text becomes an adopted style sheet, which the policy allows. The build puts it into the library.
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

/** Call it before the library draws anything. */
export function allowAdoptedStyles(): void {
  if (customElements.get(adoptedStyleTag) === undefined) customElements.define(adoptedStyleTag, AdoptedStyle);
}
