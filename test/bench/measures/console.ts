/**
 * The console with 10,000 sessions in the index of the dev stack: what its first load weighs, how soon its list can be used, and how
 * long a filter takes. `node test/bench/measures/console.ts`; it needs a Chromium (docs/console.md has the figures).
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { Api } from "../../../scripts/stack/api.ts";
import { Stack } from "../../../scripts/stack/stack.ts";
import { browserMissing, launchBrowser, signIn, visit } from "../../browser/support/browser.ts";
import { sceneVars } from "../../browser/support/scene.ts";
import { until } from "../../support/until.ts";

const sessions = 10_000;
const rounds = 15;

/** Copies of a session that is there, in the index alone: sandboxes of their own would need a datacentre. */
function seed(stateDirectory: string): void {
  const folder = join(stateDirectory, "worker/v3/do/mooring-FleetShard");
  const shards = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  for (const name of shards) {
    const database = new DatabaseSync(join(folder, name));
    database.exec("PRAGMA busy_timeout = 20000");
    const hasTable = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'session'").get() !== undefined;
    const row = hasTable ? database.prepare("SELECT * FROM session WHERE status = 'running'").get() : undefined;
    if (row !== undefined) copy(database, row);
    database.close();
    if (row !== undefined) return;
  }
  throw new Error("No shard has the session that the others are copies of.");
}

function copy(database: DatabaseSync, row: Record<string, SQLInputValue>): void {
  const names = Object.keys(row);
  const put = database.prepare(`INSERT INTO session (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`);
  const label = database.prepare("INSERT INTO label VALUES (?, ?, ?, ?)");
  const statuses = ["running", "paused", "terminated", "terminated", "failed"];
  const teams = ["web", "data", "ml", "infra", "docs", "search", "mobile"];
  database.exec("BEGIN IMMEDIATE");
  for (let index = 1; index < sessions; index += 1) {
    const id = `z${index.toString(36).padStart(19, "0")}`;
    const team = teams[index % teams.length] ?? "";
    const changed: Record<string, SQLInputValue> = {
      ...row,
      session_id: id,
      created_at: Number(row["created_at"]) - index * 60_000,
      status: statuses[index % statuses.length] ?? "",
      labels: JSON.stringify({ team }),
      task_id: `build-${index}`,
      // So few that nearly every session is looked at for a page of them: no index helps.
      template: index % 500 === 0 ? "rare" : "base",
    };
    put.run(...names.map((name) => changed[name] ?? null));
    label.run(row["tenant"] ?? null, "team", team, id);
  }
  database.exec("COMMIT");
}

/** The first load anew each time, as after a deploy: nothing is kept between the visits. */
async function untilUsable(page: Page, url: string, path: string): Promise<number> {
  const began = performance.now();
  await page.goto(`${url}/console${path}`, { waitUntil: "commit" });
  await page.locator("tbody .id").first().waitFor();
  return performance.now() - began;
}

function told(what: string, times: readonly number[]): void {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  process.stdout.write(
    `${what}: ${at(0)} ms at best, ${at(0.5)} ms in the middle, ${at(0.9)} ms at worst but one in ten\n`,
  );
}

async function measure(stack: Stack): Promise<void> {
  const browser = await launchBrowser();
  try {
    const visited = await visit(browser, stack.url);
    const { page } = visited;
    await signIn(visited, stack.url, stack.secrets.ADMIN_TOKEN);
    const weights = new Map<string, number>();
    page.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (pathname.startsWith("/console"))
        void response.body().then(
          (body) => weights.set(pathname, gzipSync(body).length),
          () => {},
        );
    });
    const usable: number[] = [];
    for (let round = 0; round < rounds; round += 1) usable.push(await untilUsable(page, stack.url, "/sessions"));
    const bytes = [...weights.values()].reduce((sum, each) => sum + each, 0);
    process.stdout.write(`First load: ${bytes} bytes compressed, sign-in and page together\n`);
    told(`The list of ${sessions} sessions can be used`, usable);
    const cookies = await page.context().cookies();
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
    for (const [what, query] of [
      ["A page of sessions with a filter", "limit=50&label[team]=data&status=running"],
      ["A page of sessions of a rare template", "limit=50&template=rare"],
    ] as const) {
      const filtered: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const began = performance.now();
        const headers = { cookie, "x-mooring-console": "1" };
        const answer = await fetch(`${stack.url}/v1/admin/sessions?${query}`, { headers });
        await answer.json();
        filtered.push(performance.now() - began);
      }
      told(what, filtered);
    }
  } finally {
    await browser.close();
  }
}

if (browserMissing !== null) throw new Error(browserMissing);
const stateDirectory = mkdtempSync(join(tmpdir(), "mooring-console-bench-"));
const stack = await Stack.start({
  stateDirectory,
  secretsFile: join(stateDirectory, "secrets"),
  port: 0,
  vars: sceneVars,
  faults: false,
  reload: false,
  cronSeconds: null,
  endSandboxes: true,
});
try {
  const api = new Api(stack.url, await stack.apiKey("bench"), new AbortController().signal);
  const { id } = await api.create({ idle_timeout_seconds: 3_600 });
  await until(
    "the index has it",
    async () => {
      const headers = { authorization: `Bearer ${stack.secrets.ADMIN_TOKEN}` };
      const answer = await fetch(`${stack.url}/v1/admin/sessions?status=running`, { headers });
      return (await answer.text()).includes(id);
    },
    120_000,
  );
  seed(stateDirectory);
  await measure(stack);
} finally {
  await stack.stop();
  rmSync(stateDirectory, { recursive: true, force: true, maxRetries: 5 });
}
