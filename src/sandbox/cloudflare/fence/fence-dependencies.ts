/** What the classes of one fence share. */
import type { Clock, Ids, Logger } from "../../../runtime/clock-ids-logger.ts";
import type { Capacity } from "../../agent-sandbox.ts";
import type { JobUser } from "../../../protocol/sandbox/wrapper.ts";
import type { ContainerPlatform } from "../platform/container-platform.ts";
import type { FenceRecords } from "./fence-records.ts";
import type { ContainerPaths, Toolbox } from "../platform/toolbox-calls.ts";

export interface FenceTerms {
  /** The platform ends a container that nobody renewed for this long. */
  readonly sleepAfterMs: number;
  readonly paths: ContainerPaths;
  /** The address inside the container on which wrappers and archive transfers listen. */
  readonly address: string;
  /** A shell command that ends the container from inside. */
  readonly endContainer: string;
  /**
   * The jobs of each member of a shared container run as a user of their own: this number plus the number of the
   * member's seat. null: they cannot, so a process that hides from its marks and its parents is not found.
   */
  readonly firstJobUser: number | null;
  /** User for jobs in an unshared container, if the container supports it. null: run them as the wrapper's user. */
  readonly loneJobUser: JobUser | null;
  /** The disk of a container that was just started; null: not known. */
  readonly freshDisk: Capacity | null;
  /** A workspace counts as stale when nothing in it was touched for this long. */
  readonly untouchedForMs: number;
}

export interface FenceDependencies {
  readonly platform: ContainerPlatform;
  readonly records: FenceRecords;
  readonly toolbox: Toolbox;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly terms: FenceTerms;
}

/** An hour: a launch is refused as late a minute after it was sent, so nothing can need the tombstone any more. */
export const tombstoneMs = 3_600_000;
