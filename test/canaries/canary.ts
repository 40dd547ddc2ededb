/** One plausible mistake in the real sources, and who claims to notice it. */
export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once; a canary whose text is gone fails loudly. */
  readonly from: string;
  readonly to: string;
}

export type Noticed =
  /** At least one of these test files fails. */
  | { readonly type: "tests"; readonly files: readonly string[] }
  /** At least one of so many schedules fails, the first of which has this seed. */
  | { readonly type: "simulation"; readonly from: number; readonly seeds: number };

export interface Canary {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly by: Noticed;
}

export function byTests(...files: readonly string[]): Noticed {
  return { type: "tests", files: files.map((file) => `test/${file}.test.ts`) };
}

/** Most mistakes show in the first few schedules; the bound is for the ones that need luck. */
export function bySimulation(seeds = 150, from = 1): Noticed {
  return { type: "simulation", from, seeds };
}

export function canary(name: string, file: string, from: string, to: string, by: Noticed): Canary {
  return { name, edits: [{ file: `src/${file}`, from, to }], by };
}
