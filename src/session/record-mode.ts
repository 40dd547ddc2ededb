/** In which way the stored record of a session can be used, and what a load from storage makes of it. */
import { afterReload } from "../domain/machine/lifetime/on-renewal.ts";
import type { Session } from "../domain/state/session.ts";
import type { SessionPorts } from "./ports.ts";
import type { Loaded } from "./records/load.ts";
import type { UnreadableLease, PlainSession } from "./records/row-codec.ts";
import { reportOnlySession, salvage } from "./records/salvage.ts";

export type RecordMode =
  | { readonly type: "absent" }
  | { readonly type: "readable" }
  /** Newer code wrote the rows: this code writes nothing but a delete intent. */
  | { readonly type: "newer"; readonly plain: PlainSession }
  /** The record cannot be read. Readable leases are stopped if they were stopping already, or if a delete was requested. */
  | Unreadable;

interface Unreadable {
  readonly type: "unreadable";
  readonly plain: PlainSession;
  readonly remains: readonly UnreadableLease[];
  readonly why: string;
  /** The saved files that were to be deleted when it was loaded. */
  readonly toDelete: readonly string[];
}

/** What a load changes in memory. A member that is absent stays as it was. */
interface Adopted {
  readonly mode: RecordMode;
  readonly session: Session | null;
  readonly version?: number;
  readonly deleteAsked?: boolean;
  readonly reportOnly?: Session | null;
}

export function adopted(loaded: Loaded, ports: SessionPorts): Adopted {
  switch (loaded.type) {
    case "absent":
      return { mode: { type: "absent" }, session: null };
    case "readable": {
      const { session, version, deleteAsked } = loaded;
      return { mode: { type: "readable" }, session: afterReload(session), version, deleteAsked };
    }
    case "newer":
      return { mode: { type: "newer", plain: loaded.plain }, session: null };
    case "unreadable": {
      const { plain, leases, remains, why } = loaded;
      const session = salvage(plain, leases, ports);
      const toDelete = session?.discarded.map(({ id }) => id) ?? [];
      return {
        mode: { type: "unreadable", plain, remains, why, toDelete },
        session,
        version: plain.version,
        reportOnly: session ?? reportOnlySession(plain, leases),
      };
    }
  }
}

/** false while a lease row cannot be read, or nobody knows what was saved: a sandbox or saved files may exist that nobody else knows of. */
export function mayBeErased(mode: RecordMode): boolean {
  return mode.type === "readable" || (mode.type === "unreadable" && mode.remains.length === 0 && !savedIsUnknown(mode));
}

/** The record cannot be read, and nothing else says what was saved: the rows cannot be erased. */
export function savedIsUnknown(mode: RecordMode): boolean {
  return mode.type === "unreadable" && mode.plain.saved === null;
}
