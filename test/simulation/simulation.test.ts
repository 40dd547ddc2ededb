import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Generation } from "../../src/domain/state/ids.ts";
import { isolatedSandboxId } from "../../src/domain/state/ids.ts";
import type { MemoryWorld } from "../memory/memory-world.ts";
import { coverageGaps, coverageTable, operationGaps, operationTable } from "./coverage.ts";
import { simulate, type SimOptions } from "./simulation.ts";

const quietly: SimOptions = { traced: false };
/** As many as a test run can afford; `npm run sim` plays thousands. */
const seeds = Array.from({ length: 24 }, (_, index) => index + 1);

describe("seeded fault schedules over the real engine, registry and index", () => {
  it.each(seeds)(
    "seed %i: every invariant holds after every step, and with the faults over everything settles [FLT-11]",
    async (seed) => {
      const { violations } = await simulate(seed, quietly);
      expect(violations, `npm run sim -- --seed ${seed} --trace`).toEqual([]);
    },
  );

  it("the same seed is the same schedule, to the last line of its trace", async () => {
    const [once, again] = [await simulate(3, { traced: true }), await simulate(3, { traced: true })];
    expect(again.trace).toEqual(once.trace);
    expect(once.trace.length).toBeGreaterThan(50);
  });
});

describe("the checks of the simulation notice", () => {
  const oneLive = (world: MemoryWorld) => world.processes().find(({ kind }) => kind === "wrapper");

  it("a process that no lease and no reservation stands for [I3] [I11]", async () => {
    let broken = false;
    const { violations } = await simulate(1, {
      traced: false,
      sabotage: (world) => {
        const victim = oneLive(world);
        if (broken || victim?.sandboxId == null) return;
        broken = true;
        const found = world.sandbox(victim.sandboxId)?.instances[0];
        if (found === undefined) return;
        const generation = (found.order.generation + 1_000) as Generation;
        world.smuggle({ ...found.order, generation, sandboxId: isolatedSandboxId(found.order.sessionId, generation) });
      },
    });
    expect(violations.some((what) => what.includes("I3:"))).toBe(true);
    expect(violations.some((what) => what.includes("I11:"))).toBe(true);
  });

  it("a kill at a sandbox that is wanted [I6]", async () => {
    let broken = false;
    const { violations } = await simulate(1, {
      traced: false,
      sabotage: (world) => {
        const victim = oneLive(world);
        if (broken || victim?.sandboxId == null || victim.generation === null) return;
        broken = true;
        const { sessionId, sandboxId, generation, instanceId } = victim;
        world.stop({ sessionId, sandboxId, generation, instanceId, host: null }, 0);
      },
    });
    expect(violations.some((what) => what.includes("I6:"))).toBe(true);
  });
});

describe("the oracle [SIM-3]", () => {
  it("imports nothing from outside its own folder", () => {
    const folder = join(import.meta.dirname, "oracle");
    const files = readdirSync(folder);
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const imports = readFileSync(join(folder, file), "utf8").match(/from "[^"]+"/g) ?? [];
      expect(
        imports.filter((each) => !each.startsWith('from "./')),
        file,
      ).toEqual([]);
    }
  });
});

describe("the table of faults by phase", () => {
  it("names a reachable cell that was never hit, and one that was hit though declared unreachable", () => {
    const counts = { hang: { held: 3 }, lie_absent: { closed: 1 }, brand_new: { held: 1 } };
    const { zeros, surprises } = coverageGaps(counts);
    expect(zeros).toContain("hang × parked");
    expect(zeros).not.toContain("hang × held");
    expect(zeros).not.toContain("lie_fewer × closed");
    expect(surprises).toEqual(["lie_absent × closed", "brand_new"]);
    expect(coverageTable(counts, (text) => `<${text.trim()}>`)).toContain("<0!>");
  });

  it("names an operation that was often called in a phase and never hit by a fault [SIM-6]", () => {
    const cell = "renew × held";
    const rare = "renew × draining";
    const counts = { calls: { [cell]: 5_000, [rare]: 3 }, hits: { hang: { [cell]: 7 } } };
    const { zeros } = operationGaps(counts);
    expect(zeros).toContain(`slow × ${cell}`);
    expect(zeros).not.toContain(`hang × ${cell}`);
    expect(zeros).not.toContain(`slow × ${rare}`);
    // A lie is told to a look only.
    expect(zeros).not.toContain(`lie_absent × ${cell}`);
    expect(operationTable(counts)).toContain("renew");
  });
});
