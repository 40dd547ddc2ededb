/** A fault of the run: struck once in a round, over when `strike` returns. `outcome` is for the table at the end. */
import type { World } from "../world.ts";

/** What clients are in the middle of when it strikes. */
export type Scene = "launching" | "stopping" | "working" | "anything";

export interface Fault {
  readonly name: string;
  readonly weight: number;
  readonly scenes: readonly Scene[];
  /** Holds a session up for a minute or more. */
  readonly slow?: true;
  strike(world: World): Promise<string>;
}
