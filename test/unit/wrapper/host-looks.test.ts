/** How the local host looks at /proc: which rows count, and how much of the time a crowd of stops makes it look. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Residue } from "../../../wrapper/host/processes/residue.ts";
import { readTable } from "../../../wrapper/proc/process-table.ts";

/** Neither is there in a container of its own: then it has no such threads to show. */
function kernelThreads(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return (pid === 2 && stat.startsWith("2 (kthreadd)")) || (parent === "2" && pid !== process.pid);
      } catch {
        return false;
      }
    });
}

it("threads of the kernel are no processes: no look spends time on them", () => {
  const threads = new Set(kernelThreads());
  const table = readTable();
  if (threads.has(2)) expect(table.filter(({ pid }) => threads.has(pid))).toEqual([]);
  expect(table.map(({ pid }) => pid)).toContain(process.pid);
});

it("in a crowd of stops the host looks at most half of the time: what is being stopped needs the processor", async () => {
  const looks: { readonly began: number; readonly ended: number }[] = [];
  const busyMs = 20;
  const counted = {
    members: () => {
      const began = performance.now();
      while (performance.now() < began + busyMs);
      looks.push({ began, ended: performance.now() });
      return [];
    },
  };
  const residue = new Residue(() => Number.POSITIVE_INFINITY, counted);
  const aim = { session: "nobody", generation: 1, instance: null };
  const stops = Array.from({ length: 30 }, async () => {
    for (let round = 0; round < 3; round += 1) await residue.of(aim);
  });
  await Promise.all(stops);
  const rests = looks.slice(1).map(({ began }, index) => {
    const before = looks[index];
    return before === undefined ? 0 : (began - before.ended) / (before.ended - before.began);
  });
  expect(rests.length).toBeGreaterThanOrEqual(5);
  // Each rest is as long as the whole look before it, of which only a part is timed here.
  expect(Math.min(...rests.slice(0, 5))).toBeGreaterThanOrEqual(1);
});
