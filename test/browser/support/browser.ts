/** Debian's Chromium, headless, as a reader of the console would use it; and everything such a reader would notice going wrong. */
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page, type Request } from "playwright-core";
import { until } from "../../support/until.ts";

const executable = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** null: there is one. Else how to get it. */
export const browserMissing: string | null = existsSync(executable)
  ? null
  : `There is no Chromium at ${executable}: install it with \`apt-get install -y chromium\`, or name one in CHROMIUM.`;

const flags = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

export function launchBrowser(): Promise<Browser> {
  if (browserMissing !== null) throw new Error(browserMissing);
  return chromium.launch({ executablePath: executable, args: flags });
}

export interface VisitOptions {
  readonly theme?: "light" | "dark";
  readonly size?: "desktop" | "phone";
}

const sizes = {
  desktop: { viewport: { width: 1280, height: 860 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
} as const;

/** Of every wait for a page: on a machine whose cores twenty others want too, half a minute is not much. */
const patienceMs = 60_000;

export interface Visit {
  readonly page: Page;
  /** What a reader would notice: errors on the console, refusals of the policy, requests to elsewhere. Empty: nothing. */
  readonly faults: string[];
  /** Paths of the API that the page asked, in order. */
  readonly calls: string[];
  /** Until the page waits for no answer but those of streams, which never end by themselves. */
  readonly atRest: () => Promise<void>;
  close(): Promise<void>;
}

export async function visit(
  browser: Browser,
  url: string,
  { theme = "light", size = "desktop" }: VisitOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ ...sizes[size], colorScheme: theme, reducedMotion: "reduce" });
  context.setDefaultTimeout(patienceMs);
  const page = await context.newPage();
  const faults: string[] = [];
  const calls: string[] = [];
  page.on("console", (message) => {
    // A refused request is shown by the page itself; the browser's own line about it is no fault.
    const isRefusal = /Failed to load resource: the server responded/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isRefusal)
      faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.message}`));
  const pending = new Set<Request>();
  page.on("request", (request) => void pending.add(request));
  page.on("requestfinished", (request) => void pending.delete(request));
  page.on("requestfailed", (request) => void pending.delete(request));
  page.on("response", (response) => {
    if (/event-stream/.test(response.headers()["content-type"] ?? "")) pending.delete(response.request());
  });
  // What another document asked is nothing to this one.
  page.on("framenavigated", () => pending.clear());
  const atRest = async (): Promise<void> => {
    // The page has had its turn since the last answer when it says so itself, twice.
    for (let quiet = 0; quiet < 2; quiet = pending.size === 0 ? quiet + 1 : 0) {
      await until(
        `no answer is waited for: ${[...pending].map((request) => request.url()).join(", ")}`,
        () => pending.size === 0,
      );
      await page.evaluate("0");
    }
  };
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol === "data:" || asked.protocol === "blob:") return;
    if (asked.origin !== new URL(url).origin) faults.push(`a request to elsewhere: ${request.url()}`);
    if (!asked.pathname.startsWith("/console/assets/"))
      calls.push(`${request.method()} ${asked.pathname}${asked.search}`);
  });
  await page.addInitScript({
    content: `document.addEventListener("securitypolicyviolation", (event) => {
      console.error("refused by the policy: " + [event.violatedDirective, event.blockedURI, event.sample].join(" "));
    });`,
  });
  return { page, faults, calls, atRest, close: () => context.close() };
}

/** Signs in as a person would. */
export async function signIn({ page }: Visit, url: string, ...credentials: readonly string[]): Promise<void> {
  for (const credential of credentials) {
    await page.goto(`${url}/console/login`);
    await page.getByLabel("Admin token or API key").fill(credential);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor({ state: "detached" });
  }
}
