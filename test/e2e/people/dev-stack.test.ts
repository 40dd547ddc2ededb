/** The stack that `npm run dev` starts: what it opens on the loopback, and what it says when a part of it dies. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";
import { groupMembers } from "../../../scripts/stack/leash.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";

let world: TemporaryStack;
beforeAll(async () => {
  world = await temporaryStack();
});
afterAll(() => world.stop());

function runtimes(): readonly number[] {
  return groupMembers(world.stack.worker?.group ?? 0).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "workerd";
    } catch {
      return false;
    }
  });
}

describe("a stack on this machine", () => {
  it("[BUG-80] serves no explorer: a page without a credential that reads and changes every object", async () => {
    for (const path of ["/cdn-cgi/explorer", "/cdn-cgi/explorer/api/workers", "/cdn-cgi/explorer/api/do"]) {
      const reply = await fetch(`${world.stack.url}${path}`, { redirect: "manual" });
      expect([path, reply.status]).toEqual([path, 404]);
      // Answered by Mooring, as any path that it does not have.
      expect(await reply.json()).toMatchObject({ code: "not_found" });
    }
  });

  it("[BUG-80] opens a debugger that README names: whoever reads that a job has a user of its own also reads what it reaches", () => {
    const readme = readFileSync(join(repository, "README.md"), "utf8").replaceAll(/\s+/g, " ");
    expect(readme).toMatch(/a job reaches every port on loopback, among them the debugger of workerd/);
    expect(readme).toMatch(/Run no hostile job on a stack of `npm run dev`/);
  });

  it("[BUG-112] says so when its workerd dies, which wrangler does not notice", async () => {
    const { stack } = world;
    expect(runtimes().length).toBeGreaterThan(0);
    const crashed = stack.crashed();
    // Other ones may take their place at once: nothing is passed on to them.
    for (const pid of runtimes()) process.kill(pid, "SIGKILL");
    expect(await crashed).toMatch(/workerd, which runs the Worker, ended by itself.*log is /);
  });
});
