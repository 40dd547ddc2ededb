/**
 * Which member has which seat in a shared container, and whether the container is retired. Stored as one durable row of
 * the container's object; the object of an unshared container never has one. A member's ports and the user of its jobs
 * follow from its seat.
 *
 * A seat is given back only once nothing of its member can be left. If its port were given out before that, another
 * instance might answer on it; if its user were, leftovers of one member would count as the next one's.
 */
import type { SandboxId } from "../../../domain/state/ids.ts";
import { seatCount } from "../../../protocol/sandbox/toolbox.ts";
import type { FenceStorage } from "../platform/container-platform.ts";

export interface Seat {
  /** 1 to `seatCount`. */
  readonly number: number;
  /** Epoch ms: nothing of its member is older than this. */
  readonly since: number;
}

interface RosterRow {
  readonly retired: boolean;
  readonly seats: Readonly<Record<string, Seat>>;
  /** The seat that was given last. The next one given is the one that was free for longest. */
  readonly last: number;
}

const rosterKey = "mooring:shared";

export class Roster {
  readonly #storage: FenceStorage;
  readonly #used: () => void;

  /** `used`: called when this object stores something for the first time. */
  constructor(storage: FenceStorage, used: () => void) {
    this.#storage = storage;
    this.#used = used;
  }

  /** true: the container was launched into, or retired, as a shared one. */
  get known(): boolean {
    return this.#row() !== null;
  }

  get retired(): boolean {
    return this.#row()?.retired === true;
  }

  get members(): readonly SandboxId[] {
    return Object.keys(this.#row()?.seats ?? {}) as SandboxId[];
  }

  retire(): void {
    this.#write({ ...this.#current(), retired: true });
  }

  seatOf(sandboxId: SandboxId): Seat | null {
    return this.#row()?.seats[sandboxId] ?? null;
  }

  /** The seat that the member has, or a free one. null: all are taken. */
  take(sandboxId: SandboxId, now: number): Seat | null {
    const row = this.#current();
    const own = row.seats[sandboxId];
    if (own !== undefined) return own;
    const taken = new Set(Object.values(row.seats).map((seat) => seat.number));
    for (let step = 0; step < seatCount; step += 1) {
      const number = ((row.last + step) % seatCount) + 1;
      if (taken.has(number)) continue;
      const seat = { number, since: now };
      this.#write({ ...row, seats: { ...row.seats, [sandboxId]: seat }, last: number });
      return seat;
    }
    return null;
  }

  vacate(sandboxId: SandboxId): void {
    const row = this.#row();
    if (row === null) return;
    const { [sandboxId]: _, ...seats } = row.seats;
    this.#write({ ...row, seats });
  }

  #row(): RosterRow | null {
    const stored = this.#storage.get(rosterKey);
    if (stored === undefined || stored === null) return null;
    const row = stored as Partial<RosterRow>;
    if (typeof row.retired !== "boolean" || typeof row.last !== "number" || typeof row.seats !== "object") {
      throw new Error(
        "The stored list of this container's members cannot be understood: it is broken, or a newer Mooring wrote it. It is left as it is.",
      );
    }
    return row as RosterRow;
  }

  #current(): RosterRow {
    return this.#row() ?? { retired: false, seats: {}, last: 0 };
  }

  #write(row: RosterRow): void {
    this.#used();
    this.#storage.put(rosterKey, row);
  }
}
