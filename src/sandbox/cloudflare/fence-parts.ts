/** What the parts of one fence share. */
import type { Clock, Ids, Logger } from "../../session/ambient.ts";
import type { ContainerPlatform } from "./container-platform.ts";
import type { FenceRecords } from "./fence-records.ts";
import type { ContainerPaths, Toolbox } from "./toolbox-calls.ts";

export interface FenceTerms {
  /** The platform ends what nobody renewed for so long (DESIGN §5). */
  readonly sleepAfterMs: number;
  readonly paths: ContainerPaths;
  /** Where wrappers and couriers bind, inside. */
  readonly address: string;
  /** What ends the container from inside, as a shell command. */
  readonly endContainer: string;
}

export interface FenceParts {
  readonly platform: ContainerPlatform;
  readonly records: FenceRecords;
  readonly toolbox: Toolbox;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly terms: FenceTerms;
}

/** An hour: a launch that was sent is refused as late after a minute, so nothing can need the tombstone any more. */
export const tombstoneMs = 3_600_000;
