/** The npm scripts and what they start: who ends them, what they watch, and what they say of a wrong command line. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";
import { until } from "../../support/until.ts";

const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

/** Each of them starts Node and loads its tools, which takes its time on a busy machine. */
const startsMs = 240_000;

it("[BUG-113] every npm script ends in the program itself, so that a signal to npm reaches it", () => {
  // `prepack` is npm's own hook: it ends before npm goes on.
  const others = Object.entries(scripts).filter(([name]) => name !== "prepack");
  expect(others.filter(([, command]) => !/(^|&& )exec [^&|;]+$/.test(command))).toEqual([]);
});

it("[BUG-113] a stack's command ends when its parent is gone without a signal", async () => {
  const holder = join(repository, "test/support/stop-request-holder.ts");
  const parent = spawn("sh", ["-c", `node ${holder} & wait`], {
    env: toolEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  parent.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until("it runs", () => said.includes("ready"));
  const pid = Number(/ready (\d+)/.exec(said)?.[1]);
  parent.kill("SIGKILL");
  await until(
    "it has ended",
    () => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")),
  );
});

it("[BUG-96] wrangler watches the sources, although a build command is set", () => {
  const { build } = unstable_readConfig({ config: join(repository, "wrangler.toml") }, { hideWarnings: true });
  expect([build.watch_dir].flat().map((each) => each?.replace(/^\.\//, ""))).toContain("src");
});

it.each([
  ...["stack/dev.ts", "stack/keys.ts", "checks/bench.ts", "checks/sim.ts", "checks/chaos.ts", "checks/canaries.ts"],
  ...[
    "checks/mutate.ts",
    "checks/fuzz.ts",
    "checks/spec.ts",
    "checks/check.ts",
    "builds/build-wrapper.ts",
    "builds/build-client.ts",
  ],
  "demo/demo.ts",
])(
  "[BUG-95] %s explains itself on --help, and says in words what it does not know",
  { timeout: startsMs },
  (script) => {
    const run = (flag: string) =>
      spawnSync("node", [join(repository, "scripts", script), flag], { env: toolEnvironment(), encoding: "utf8" });
    const help = run("--help");
    expect([help.status, help.stderr]).toEqual([0, ""]);
    expect(help.stdout).toMatch(/usage: npm run/i);
    const wrong = run("--no-such-flag");
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain("--no-such-flag");
    expect(wrong.stderr).not.toMatch(/^\s+at /m);
  },
);

it("[BUG-95] a var that does not fit is said before anything is started", { timeout: startsMs }, () => {
  const run = spawnSync(
    "node",
    [join(repository, "scripts/stack/dev.ts"), "--port", "0", "--var", "LEASE_TTL_SECONDS:1"],
    {
      env: toolEnvironment(),
      encoding: "utf8",
    },
  );
  expect(run.status).toBe(1);
  expect(run.stderr).toContain("LEASE_TTL_SECONDS=1");
});
