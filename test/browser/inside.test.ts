/**
 * The inside of a sandbox in the console: files, a terminal, ports and the check of its receipts, in a real browser against a real stack
 * with a real sandbox.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../../scripts/repository.ts";
import { Api } from "../../scripts/stack/api.ts";
import { freePort } from "../../scripts/stack/ports.ts";
import type { SessionView } from "../../src/protocol/resources/session/sessions.ts";
import { serverProgram } from "../support/sandbox-server.ts";
import { temporaryStack, type TemporaryStack } from "../support/temporary-stack.ts";
import { until } from "../support/until.ts";
import { browserMissing, launchBrowser, signIn, type VisitOptions, visit, type Visit } from "./support/browser.ts";
import { axeFindings, settled, show } from "./support/page.ts";
import { sceneVars } from "./support/scene.ts";

/** Not in git: whoever changed a page looks at these. */
const pictures = join(repository, "coverage/console");

describe.skipIf(browserMissing !== null)("the inside of a sandbox", () => {
  let world: TemporaryStack;
  let browser: Browser;
  let api: Api;
  let key: string;
  let running: SessionView;

  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true });
    [world, browser] = await Promise.all([temporaryStack({ vars: sceneVars }), launchBrowser()]);
    key = await world.stack.apiKey("acme");
    api = new Api(world.stack.url, key, new AbortController().signal);
    running = await started();
  });
  afterAll(async () => {
    await browser?.close();
    await world?.stop();
  });

  async function started(): Promise<SessionView> {
    const { id } = await api.create({ labels: { team: "web" }, idle_timeout_seconds: 3_600 });
    return until(`session ${id} runs`, async () => {
      const view = await api.session(id);
      return view.status === "running" ? view : null;
    });
  }
  /** Runs a command in it and waits for its end. */
  async function done(id: string, command: string): Promise<void> {
    const job = await api.run(id, { command });
    await until(command, async () => (await api.job(id, job.id)).ended_at !== null);
  }
  const enter = async (around: VisitOptions = {}): Promise<Visit> => {
    const visited = await visit(browser, world.stack.url, around);
    await signIn(visited, world.stack.url, key);
    return visited;
  };
  const open = async ({ page }: Visit, id: string, tab: string): Promise<void> => {
    await page.goto(`${world.stack.url}/console/sessions/${id}?tab=${tab}`);
    await settled(page);
  };

  it("walks through files, shows them, downloads and uploads them, and replaces none unasked [PEO-3]", async () => {
    await done(
      running.id,
      "mkdir -p 'src/in here' && echo 'hello from inside' > 'src/in here/note.txt' && printf '\\000\\001\\377' > raw.bin && : > empty",
    );
    const visited = await enter();
    const { page } = visited;
    await open(visited, running.id, "files");
    await page.getByRole("link", { name: "src" }).click();
    await page.getByRole("link", { name: "in here" }).click();
    await page.getByRole("link", { name: "note.txt" }).click();
    expect(await page.getByLabel("Content of the file").textContent()).toBe("hello from inside\n");
    // What is shown is in the address.
    await page.reload();
    await page.getByLabel("Content of the file").waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe("note.txt");
    expect(readFileSync(await download.path(), "utf8")).toBe("hello from inside\n");

    await page.getByRole("link", { name: "Back to the directory" }).click();
    const input = page.getByLabel("Files to upload");
    const sent = (text: string) => ({ name: "upload ü.txt", mimeType: "text/plain", buffer: Buffer.from(text) });
    await input.setInputFiles([sent("first")]);
    const uploads = page.getByRole("list", { name: "Uploads" });
    await uploads.getByText("uploaded").waitFor();
    await page.getByRole("link", { name: "upload ü.txt" }).waitFor();
    await input.setInputFiles([sent("second")]);
    await uploads.getByText("is there already").waitFor();
    await done(running.id, "grep -q first 'src/in here/upload ü.txt' && touch unasked-kept");
    await uploads.getByRole("button", { name: "Replace it" }).click();
    await uploads.getByText("uploaded").waitFor();
    await page.getByRole("link", { name: "upload ü.txt" }).click();
    await eventually(() => page.getByLabel("Content of the file").textContent()).toBe("second");

    await open(visited, running.id, "files");
    await page.getByRole("link", { name: "unasked-kept" }).waitFor();
    const [archive] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download src" }).click(),
    ]);
    expect(archive.suggestedFilename()).toBe("src.tar.gz");
    await page.getByRole("link", { name: "raw.bin" }).click();
    await eventually(() => page.getByLabel("Content of the file").textContent()).toContain("00000000  00 01 ff");
    await open(visited, running.id, "files");
    await page.getByRole("link", { name: "empty" }).click();
    await eventually(() => page.getByLabel("Content of the file").textContent()).toBe("It is empty.");
    // A file that is not there is told in the API's own words.
    await open(visited, running.id, "files&path=no-such-directory");
    await page.getByRole("alert").waitFor();
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("opens a terminal that goes on while nobody looks, and ends it after saying what ends [PEO-1] [PEO-3]", async () => {
    const visited = await enter();
    const { page } = visited;
    await open(visited, running.id, "terminal");
    await page.getByRole("button", { name: "Open a terminal" }).click();
    await page.getByText("connected", { exact: true }).waitFor();
    await type(page, "echo $((6*7)) in $TERM; printf '\\033[38;2;10;200;10mtrue colour\\033[0m\\n'; stty size");
    await eventually(() => shown(page)).toContain("42 in xterm");
    await eventually(() => shown(page)).toContain("true colour");
    // The program knows the size of what is shown.
    await eventually(async () => /(\d+) (\d+)/.exec(await shown(page))?.[0] ?? "").not.toBe("24 80");
    // Hidden, it lets go of the connection; the program goes on, and what it wrote comes when somebody looks again.
    await type(page, "(sleep 2; echo written while hidden) & cd /; for n in 1 2 3; do echo line $n; done");
    await eventually(() => shown(page)).toContain("line 3");
    await show(page, "hidden");
    await page.getByText("waits for you").waitFor();
    await show(page, "visible");
    await page.getByText("connected", { exact: true }).waitFor();
    await eventually(() => shown(page)).toContain("written while hidden");
    expect((await shown(page)).match(/^line 3$/gm)).toHaveLength(1);
    // Another page that is sent the address sees the same shell.
    await page.reload();
    await page.getByText("connected", { exact: true }).waitFor();
    await type(page, "pwd; echo still $((40+2))");
    await eventually(() => shown(page)).toContain("still 42");
    await page.screenshot({ path: join(pictures, "terminal-light-desktop.png") });
    await page.keyboard.press("Control+F6");
    expect(await page.evaluate("document.activeElement.tagName")).toBe("H1");
    await page.getByRole("button", { name: "End it …" }).click();
    const dialog = page.getByRole("dialog", { name: "End the terminal" });
    expect(await dialog.textContent()).toContain("everything that was started in it is ended");
    await dialog.getByRole("button", { name: "End it", exact: true }).click();
    await dialog.getByText("It has ended").waitFor();
    await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
    await page.getByText("ended", { exact: true }).waitFor();
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("lists who listens, opens a port in a tab, and makes an address that opens it without a key [PEO-1]", async () => {
    const port = (await freePort(0)) ?? 0;
    await api.run(running.id, { argv: ["node", "-e", serverProgram], env: { PORT: String(port) } });
    const visited = await enter();
    const { page } = visited;
    await open(visited, running.id, "ports");
    const row = page.getByRole("row", { name: new RegExp(String(port)) });
    await row.waitFor();
    expect(await row.textContent()).toContain("node");
    const [tab] = await Promise.all([
      page.context().waitForEvent("page"),
      row.getByRole("button", { name: "Open in a tab" }).click(),
    ]);
    await tab.waitForLoadState();
    expect(new URL(tab.url()).hostname).toBe(`${port}-${running.id}.localhost`);
    // The token has moved into a cookie of that host, and nothing of the console is there.
    expect(tab.url()).not.toContain("mooring_token");
    expect(await tab.evaluate("window.opener")).toBeNull();
    await tab.close();
    await page.getByLabel("Port", { exact: true }).fill(String(port));
    await page.getByRole("button", { name: "Make it" }).click();
    const address = page.getByRole("region", { name: "Addresses" }).getByRole("link").first();
    const href = (await address.getAttribute("href")) ?? "";
    const stranger = await visit(browser, world.stack.url);
    await stranger.page.goto(href);
    expect(await stranger.page.evaluate("document.body.innerText.length")).toBeGreaterThan(0);
    await stranger.close();
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("takes a snapshot, begins a session with it, forks, and deletes it after its name was typed [TRA-15] [PEO-3]", async () => {
    const visited = await enter();
    const { page } = visited;
    await open(visited, running.id, "");
    await page.getByRole("button", { name: "More acts" }).click();
    await page.getByRole("button", { name: "Snapshot …" }).click();
    const taking = page.getByRole("dialog", { name: "Take a snapshot" });
    await taking.getByLabel("Name (may stay empty)").fill("by-hand");
    expect(await taking.textContent()).toContain(`mooring snapshots create ${running.id} by-hand`);
    await taking.getByRole("button", { name: "Take it" }).click();
    await taking.getByText("It is saved").waitFor();
    await taking.getByRole("link", { name: "by-hand" }).click();

    const row = page.getByRole("row", { name: /by-hand/ });
    await row.getByText("ready").waitFor();
    await row.getByRole("button", { name: "Begin …" }).click();
    const beginning = page.getByRole("dialog", { name: "Begin a session with it" });
    await beginning.getByRole("button", { name: "Begin", exact: true }).click();
    const begun = (await beginning.getByRole("link").textContent()) ?? "";
    expect(begun).toMatch(/^[a-z0-9]{20}$/);
    await beginning.getByRole("button", { name: "Close", exact: true }).last().click();
    await page.screenshot({ path: join(pictures, "snapshots-light-desktop.png") });
    expect(await axeFindings(page)).toEqual([]);

    // A session that is being started from it would fail when it went.
    await until("it runs", async () => (await api.session(begun)).status === "running");
    await row.getByRole("button", { name: "Delete …" }).click();
    const deleting = page.getByRole("dialog", { name: "Delete a snapshot" });
    const sure = deleting.getByRole("button", { name: "Delete", exact: true });
    expect(await sure.isDisabled()).toBe(true);
    await deleting.getByLabel("to say that you mean this one").fill("by-hand");
    await sure.click();
    await deleting.getByText("Proven deleted").waitFor();
    await deleting.getByRole("button", { name: "Close", exact: true }).last().click();
    await page.getByText("There is none yet.").waitFor();

    await open(visited, running.id, "");
    await page.getByRole("button", { name: "More acts" }).click();
    await page.getByRole("button", { name: "Fork …" }).click();
    const forking = page.getByRole("dialog", { name: "Fork it" });
    await forking.getByRole("button", { name: "Fork", exact: true }).click();
    const fork = forking.getByRole("listitem").getByRole("link");
    await fork.waitFor();
    for (const id of [begun, (await fork.textContent()) ?? ""]) await api.delete(id);
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("verifies the signed receipts of a session in the browser, and finds a changed one", async () => {
    const ended = await started();
    await api.delete(ended.id);
    await until("it is proven gone", async () => (await api.session(ended.id)).status === "terminated");
    const visited = await enter();
    const { page } = visited;
    await open(visited, ended.id, "receipt");
    const verdict = page.getByRole("region", { name: "Verification" });
    await until("it is signed and verified", async () => {
      await verdict.getByRole("button", { name: "Verify" }).click();
      return (await verdict.getByText("Verified.").count()) > 0;
    });
    // One byte of what the server sends is changed on its way.
    await page.route("**/receipts", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace(ended.id, `x${ended.id.slice(1)}`) });
    });
    await verdict.getByRole("button", { name: "Verify" }).click();
    await verdict.getByText("the statement or the hash was changed").waitFor();
    expect(visited.faults).toEqual([]);
    await visited.close();
  });

  it("shows an operator without the tenant's key why the inside is closed", async () => {
    const visited = await visit(browser, world.stack.url);
    await signIn(visited, world.stack.url, world.stack.secrets.ADMIN_TOKEN);
    for (const [tab, words] of [
      ["files", "Files are its tenant's."],
      ["terminal", "Terminals are its tenant's."],
      ["ports", "Ports are its tenant's."],
    ] as const) {
      await open(visited, running.id, tab);
      await visited.page.getByText(words).waitFor();
    }
    await visited.close();
  });

  it.each([
    ["light", "desktop"],
    ["dark", "desktop"],
    ["light", "phone"],
    ["dark", "phone"],
  ] as const)("looks right, %s, %s", async (theme, size) => {
    await done(running.id, "mkdir -p src && date > src/today.txt && seq 1 40 > numbers.txt");
    const visited = await enter({ theme, size });
    const { page } = visited;
    const findings: string[] = [];
    for (const [name, tab] of [
      ["files", "files"],
      ["file", "files&file=numbers.txt"],
      ["ports", "ports"],
      ["terminal", "terminal"],
    ] as const) {
      await open(visited, running.id, tab);
      if (name === "terminal") {
        await page.getByRole("button", { name: "Open a terminal" }).click();
        await page.getByText("connected", { exact: true }).waitFor();
        await type(page, "ls --color=always -la /; echo ready-$((1+1))");
        await eventually(() => shown(page)).toContain("ready-2");
      }
      await page.screenshot({ path: join(pictures, `${name}-${theme}-${size}.png`) });
      findings.push(...(await axeFindings(page)).map((finding) => `${name}: ${finding}`));
      const wide = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
      if (wide > 1) findings.push(`${name}: ${wide} px wider than the screen`);
    }
    expect(findings).toEqual([]);
    expect(visited.faults).toEqual([]);
    await visited.close();
  });
});

async function type(page: Page, line: string): Promise<void> {
  await page.locator(".terminal textarea").focus();
  await page.keyboard.type(line);
  await page.keyboard.press("Enter");
}

/** What the terminal shows, line by line. */
async function shown(page: Page): Promise<string> {
  return (await page.locator(".terminal .xterm-rows > div").allInnerTexts()).join("\n");
}

/** A shell on a busy machine takes seconds to say something. */
function eventually<T>(look: () => T | Promise<T>) {
  return expect.poll(look);
}
