/** How often each fault hit each phase of a lease: a fault that never met a phase has proven nothing about it. */
export const coveredPhases = ["opening", "launching", "held", "stopping", "parked", "ghost", "closed"] as const;

export type CoverageCounts = Record<string, Record<string, number>>;

export class Coverage {
  readonly counts: CoverageCounts = {};

  count(fault: string, phase: string): void {
    const row = (this.counts[fault] ??= {});
    row[phase] = (row[phase] ?? 0) + 1;
  }
}

export function addCoverage(sum: CoverageCounts, more: CoverageCounts): void {
  for (const [fault, row] of Object.entries(more)) {
    const total = (sum[fault] ??= {});
    for (const [phase, count] of Object.entries(row)) total[phase] = (total[phase] ?? 0) + count;
  }
}

export function coverageTable(counts: CoverageCounts): string {
  const width = Math.max(8, ...Object.keys(counts).map((fault) => fault.length));
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(9)).join("")}`;
  const rows = Object.keys(counts)
    .sort()
    .map((fault) =>
      line(
        fault,
        coveredPhases.map((phase) => String(counts[fault]?.[phase] ?? 0)),
      ),
    );
  return [line("fault", coveredPhases), ...rows].join("\n");
}
