/**
 * `npm run docs:look -- [url] [picture.png]`: opens the docs page in a real browser, as a reader would, and fails on anything
 * that a reader would notice: a console error, a refused or failed request, a request to elsewhere, an operation that is not
 * listed or does not open. Not part of `npm test`, which needs no browser. Chromium: CHROMIUM, or /usr/bin/chromium.
 */
import { chromium } from "playwright-core";

const [url = "http://127.0.0.1:8787", picture = "docs-page.png"] = process.argv.slice(2);
const faults: string[] = [];
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat([
    ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
  ]),
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText ?? ""}`));
  page.on("request", (request) => {
    const elsewhere = new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith("data:");
    if (elsewhere) faults.push(`a request to elsewhere: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
  });

  await page.goto(`${url}/docs`, { waitUntil: "networkidle" });
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
  const described = Object.values(document.paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0);
  await page.locator(".opblock").first().waitFor();
  const listed = await page.locator(".opblock").count();
  if (listed !== described) faults.push(`${listed} operations are listed, ${described} are described`);
  await page.screenshot({ path: picture });

  await page.locator("#operations-Sessions-createSession .opblock-summary-control").click();
  await page.locator("#operations-Sessions-createSession .responses-table").waitFor();
  await page.locator("#operations-Sessions-createSession").scrollIntoViewIfNeeded();
  await page.screenshot({ path: picture.replace(/\.png$/, "-operation.png") });

  // With a key, the page itself is a client: curl line and answer are shown.
  const key = process.env["MOORING_KEY"];
  if (key !== undefined) {
    await page.locator(".auth-wrapper .authorize").first().click();
    await page.locator(".auth-container input").first().fill(key);
    await page.locator(".auth-container .btn.authorize").first().click();
    await page.locator(".auth-container .btn-done, .btn-done").first().click();
    const operation = page.locator("#operations-Sessions-listSessions");
    await operation.locator(".opblock-summary-control").click();
    await operation.locator(".try-out__btn").click();
    await operation.locator(".execute").click();
    await operation.locator(".live-responses-table tbody .response-col_status").first().waitFor();
    const status =
      (await operation.locator(".live-responses-table tbody .response-col_status").first().textContent()) ?? "";
    if (!status.trim().startsWith("200")) faults.push(`"Try it out" answered ${status}`);
    await operation.scrollIntoViewIfNeeded();
    await page.screenshot({ path: picture.replace(/\.png$/, "-try.png") });
  }
  console.log(`${listed} operations listed; pictures beside ${picture}`);
} finally {
  await browser.close();
}
for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
