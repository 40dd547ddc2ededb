/** The probe of an account, as far as it goes without one: it is bundled, its questions are complete, and what is left of it is found. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { applicationId } from "../../../scripts/probe/application-id.ts";
import { answersOf, questions, tableOf } from "../../../scripts/probe/questions.ts";
import { recipes } from "../../../scripts/templates/recipes.ts";
import { repository, toolEnvironment } from "../../../scripts/repository.ts";

it(
  "a dry run bundles the Worker under a name of its own, lists each question, and says how it is removed",
  { timeout: 240_000 },
  () => {
    const ran = spawnSync("node", [join(repository, "scripts/probe/probe-account.ts"), "--dry-run"], {
      env: toolEnvironment(),
      encoding: "utf8",
    });
    expect(ran.stderr).toBe("");
    expect(ran.status).toBe(0);
    const [, name = ""] = /as the Worker (mooring-probe-[0-9a-f]{8}) /.exec(ran.stdout) ?? [];
    expect(ran.stdout).toContain(`wrangler delete --name ${name} --force`);
    for (const { id } of questions) expect(ran.stdout).toContain(`| ${id} | `);
  },
);

it("a dry run of a template shows what would run in the container", { timeout: 240_000 }, () => {
  const program = join(repository, "scripts/templates/templates.ts");
  const run = (...args: readonly string[]) =>
    spawnSync("node", [program, ...args], { env: toolEnvironment(), encoding: "utf8" });
  expect(run("build", "no-such").status).toBe(2);
  const ran = run("build", "agents", "--dry-run");
  expect(ran.stderr).toBe("");
  for (const step of recipes["agents"]?.steps ?? []) expect(ran.stdout).toContain(step);
  expect(ran.stdout).toMatch(/wrangler delete --name mooring-templates-[0-9a-f]{8} --force/);
});

it("a question that cannot be asked is a line of the table, and the next is asked all the same", async () => {
  const tools = {
    ask: () => Promise.reject(new Error("no | such account")),
    fresh: () => "box",
    wait: async () => {},
    holdMs: 1,
  };
  const answers = await answersOf(tools, () => {});
  expect(answers).toHaveLength(questions.length);
  expect(answers.every(({ answer }) => answer === "could not be measured: Error: no | such account")).toBe(true);
  expect(tableOf(answers).split("\n")).toHaveLength(questions.length + 2);
  expect(tableOf(answers)).toContain("no \\| such account |");
});

it("the application that stays behind a deleted Worker is found by its name", () => {
  const listed = `A word of wrangler\n[{"id": "1", "name": "another"}, {"id": "2", "name": "mine"}]\n`;
  expect(applicationId(listed, "mine")).toBe("2");
  expect(applicationId(listed, "min")).toBeNull();
  expect(applicationId("not logged in", "mine")).toBeNull();
});
