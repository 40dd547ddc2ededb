/** What tests do with any page of the console. */
import axe from "axe-core";
import type { Page } from "playwright-core";

/** As if somebody went to another tab, or came back: a headless browser has none. */
export async function show(page: Page, state: "hidden" | "visible"): Promise<void> {
  await page.evaluate(`
    Object.defineProperty(document, "visibilityState", { configurable: true, value: "${state}" });
    document.dispatchEvent(new Event("visibilitychange"));
  `);
}

/** The page has what it asked for, or says what went wrong. */
export async function settled(page: Page): Promise<void> {
  await page.locator("main h1").first().waitFor();
  await page.locator(".waiting").first().waitFor({ state: "detached" });
}

export async function axeFindings(page: Page): Promise<readonly string[]> {
  // As a script of the debugger, which the page's own policy does not speak about.
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as axe.AxeResults;
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map(
            ({ html, failureSummary }) =>
              `${html.slice(0, 140)} (${failureSummary?.split("\n").slice(1, 3).join(" ").trim()})`,
          )
          .join(" | ")}`,
    );
}
