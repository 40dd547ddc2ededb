/** What the parts of one fence share. */
import type { Clock, Ids, Logger } from "../../../runtime/clock-ids-logger.ts";
import type { Capacity } from "../../agent-sandbox.ts";
import type { JobUser } from "../../../protocol/sandbox/wrapper.ts";
import type { ContainerPlatform } from "../platform/container-platform.ts";
import type { FenceRecords } from "./fence-records.ts";
import type { ContainerPaths, Toolbox } from "../platform/toolbox-calls.ts";

export interface FenceTerms {
  /** The platform ends what nobody renewed for so long. */
  readonly sleepAfterMs: number;
  readonly paths: ContainerPaths;
  /** Where wrappers and couriers bind, inside. */
  readonly address: string;
  /** What ends the container from inside, as a shell command. */
  readonly endContainer: string;
  /**
   * The jobs of each member of a shared container run as a user of their own: this number plus its seat's. null: they cannot, and
   * what hides from its marks and its parents is not found.
   */
  readonly firstJobUser: number | null;
  /** Whom the jobs of a sandbox run as that has its container for itself, where the container allows it; null: as the wrapper. */
  readonly loneJobUser: JobUser | null;
  /** What a container has that was just started; null: it cannot be told. */
  readonly freshDisk: Capacity | null;
  /** How long nothing in a workspace may have been touched before it is stale. */
  readonly untouchedForMs: number;
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
