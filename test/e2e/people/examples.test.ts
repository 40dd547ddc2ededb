/** The examples of examples/, run as a reader would run them, against real processes. */
import { spawn } from "node:child_process";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";

let world: TemporaryStack;
let key: string;
beforeAll(async () => {
  world = await temporaryStack();
  key = await world.stack.apiKey("examples");
});
afterAll(() => world.stop());

async function run(example: string, ...args: readonly string[]) {
  const child = spawn("node", [`examples/${example}`, ...args], {
    cwd: repository,
    env: toolEnvironment({ MOORING_URL: world.stack.url, MOORING_KEY: key }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.err += chunk.toString()));
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, ...said };
}

/** What each says, in order; `refresh.ts` and so on end with 0. */
const stories: Readonly<Record<string, RegExp>> = {
  "kill-on-timeout.ts": /^ends at .*\nterminated: timeout\n.*two looks at sandbox/,
  "refresh.ts": /^refresh 30: unchanged.*\nrefresh 36000: later by 10 h\ntimeout 45: sooner than at first\n$/,
  "pause-and-resume.ts": /^paused\nkept across the pause\nsucceeded, in a new sandbox\n$/,
  "rebuild-after-loss.ts": /^lost\nrefused: sandbox_lost\nempty, as rebuild said\n$/,
};

it.each(Object.entries(stories))("examples/%s tells its story and leaves nothing running", async (example, story) => {
  const { code, out, err } = await run(example);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(story);
  expect(await world.stack.residue()).toEqual([]);
});

it("examples/run-a-job.ts follows a command, passes its exit code on and shows the evidence", async () => {
  const { code, out, err } = await run("run-a-job.ts", "echo out; echo err >&2; exit 7");
  expect(err).toContain("job failed, exit code 7");
  expect(err).toMatch(/two looks at sandbox/);
  expect([out, code]).toEqual(["out\nerr\n", 7]);
});

it("every example is run by some test", () => {
  const tests = globSync("test/**/*.ts", { cwd: repository }).map((file) =>
    readFileSync(join(repository, file), "utf8"),
  );
  const examples = readdirSync(join(repository, "examples")).filter(
    (file) => file.endsWith(".ts") && file !== "connect.ts",
  );
  expect(examples.length).toBeGreaterThan(4);
  expect(examples.filter((file) => !tests.some((text) => text.includes(file)))).toEqual([]);
});
