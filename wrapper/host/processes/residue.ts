/**
 * Decides which live processes belong to which instance, and when none does.
 *
 * By marks: exactly equal session and generation, never a prefix. By lineage: a child of an owned process, or a member of
 * a group or kernel session that an owned process leads or led, is owned even when it cleared its environment. Lineage has
 * to be seen while the parent lives, so a process that hides from all of these between two looks escapes; unless the kernel
 * counts (cgroups.ts), or jobs have a user of their own (job-users.ts). A process may have two owners: a job that claims
 * another session's marks still belongs to its own session.
 *
 * Doubt is never absence: a process of this user that can neither be read nor explained makes the answer an error.
 */
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { readProcess, readProcesses, type LiveProcess, type Marks } from "../../proc/marked-processes.ts";

export interface Owner {
  readonly session: string;
  readonly instance: string | null;
  readonly generation: number | null;
}

export interface Found {
  readonly pid: number;
  readonly startTime: number;
  readonly parent: number;
  readonly owner: Owner;
  readonly kind: "guardian" | "wrapper" | "job" | "legacy";
  readonly by: "marks" | "lineage" | "group";
}

/** Whose processes are meant. `instance` null: every instance of that generation, and the session's legacy wrappers. */
export interface Aim {
  readonly session: string;
  readonly generation: number;
  readonly instance: string | null;
}

/** A process of this user cannot be read, so nothing can be called absent. */
class Undecidable extends Error {}

interface Look {
  readonly found: readonly Found[];
  /** Processes that may not be read, whose parents do not explain them, and that started after this tick. */
  readonly doubts: (since: number) => readonly LiveProcess[];
}

/** Owners that the kernel knows and a process cannot hide: by control group or by user. Asked after each walk. */
export interface Counted {
  members(): readonly { readonly pid: number; readonly owner: Owner }[];
}

interface Tracked {
  readonly startTime: number;
  readonly owners: ReadonlyMap<string, Owner>;
}

/** Long enough for a process in the middle of exec to get its environment. */
const betweenLooksMs = 3;
/** A look that more callers than this share is followed by a rest. */
const crowd = 4;

export class Residue {
  /** Processes that were once owned, by pid. A dead leader stays while its group or session has members: until then the kernel does not reuse its number. */
  readonly #tracked = new Map<number, Tracked>();
  /** When the host armed that instance, in ticks since boot. Infinity: not in this boot, so no process of it can hide. */
  readonly #armedAt: (aim: Aim) => number;
  readonly #counted: Counted | null;
  #next: Promise<Look> | null = null;
  /** How many wait for the next look. */
  #callers = 0;
  /** On the monotonic clock, ms. */
  #restUntil = 0;

  constructor(armedAt: (aim: Aim) => number, counted: Counted | null) {
    this.#counted = counted;
    this.#armedAt = armedAt;
  }

  /** For a process that a record names: it is owned even if its marks are never seen again. */
  remember(pid: number, startTime: number, owner: Owner): void {
    this.#tracked.set(pid, { startTime, owners: new Map([[keyOf(owner), owner]]) });
  }

  /** Every owned process, by one walk: proves presence, not absence. */
  look(): readonly Found[] {
    return this.#look().found;
  }

  /** Presence takes one look; absence two, the second begun after the first ended. Throws `Undecidable`. */
  async of(aim: Aim): Promise<readonly Found[]> {
    const first = matching(await this.#nextLook(), aim);
    if (first.length > 0) return first;
    await pause(betweenLooksMs);
    const second = await this.#nextLook();
    const found = matching(second, aim);
    const doubt = second.doubts(this.#armedAt(aim))[0];
    if (found.length === 0 && doubt !== undefined) {
      throw new Undecidable(`Process ${doubt.pid} (${doubt.name}) is of our user, and its environment cannot be read.`);
    }
    return found;
  }

  /** By one walk: an empty answer does not prove absence. */
  now(aim: Aim): readonly Found[] {
    return matching(this.#look(), aim);
  }

  /**
   * Sends the signal if this pid is still that process and still has that owner. The check and the signal are adjacent
   * system calls: to strike another process, the kernel would have to hand out every other pid in between.
   */
  signal(found: Found, signal: "SIGTERM" | "SIGSTOP" | "SIGKILL"): boolean {
    const process_ = readProcess(found.pid);
    if (process_ === null || process_.startTime !== found.startTime) return false;
    if (found.by === "marks" && !carries(process_.marks, found.owner)) return false;
    try {
      process.kill(found.pid, signal);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Begins after it was asked for. Callers that ask before it begins share it, so that two hundred stops cost one walk. In a crowd the walks
   * take at most half of the time: what is being stopped needs the processor to end.
   */
  #nextLook(): Promise<Look> {
    this.#callers += 1;
    this.#next ??= this.#rested().then(() => {
      this.#next = null;
      const callers = this.#callers;
      this.#callers = 0;
      const began = performance.now();
      const look = this.#look();
      const now = performance.now();
      this.#restUntil = callers > crowd ? now + (now - began) : 0;
      return look;
    });
    return this.#next;
  }

  async #rested(): Promise<void> {
    const leftMs = this.#restUntil - performance.now();
    await (leftMs > 0 ? pause(leftMs) : nextTurn());
  }

  #look(): Look {
    const processes = readProcesses();
    const byPid = new Map(processes.map((process_) => [process_.pid, process_]));
    this.#forgetReused(processes, byPid);
    const found: Found[] = [];
    const owned = new Map<number, Map<string, Owner>>();
    const claim = (process_: LiveProcess, owner: Owner, by: Found["by"]): boolean => {
      const owners = owned.get(process_.pid) ?? new Map<string, Owner>();
      if (owners.has(keyOf(owner))) return false;
      owned.set(process_.pid, owners.set(keyOf(owner), owner));
      const { pid, startTime, parent } = process_;
      found.push({ pid, startTime, parent, owner, kind: kindOf(process_, owner), by });
      return true;
    };
    for (const process_ of processes) {
      if (typeof process_.marks !== "string") claim(process_, ownerOf(process_.marks), "marks");
      const tracked = this.#tracked.get(process_.pid);
      if (tracked?.startTime === process_.startTime)
        for (const owner of tracked.owners.values()) claim(process_, owner, "lineage");
    }
    // Asked after the walk, so a process that started meanwhile is read by itself.
    for (const { pid, owner } of this.#counted?.members() ?? []) {
      const process_ = byPid.get(pid) ?? readProcess(pid);
      if (process_ === null) continue;
      byPid.set(pid, process_);
      claim(process_, owner, "group");
    }
    // Owners flow from parents and leaders until nothing changes; each round goes one step down the deepest tree.
    for (let changed = true; changed;) {
      changed = false;
      for (const process_ of processes) {
        for (const owner of this.#inherited(process_, byPid, owned))
          changed = claim(process_, owner, "lineage") || changed;
      }
    }
    for (const [pid, owners] of owned) this.#tracked.set(pid, { startTime: byPid.get(pid)?.startTime ?? 0, owners });
    const unowned = processes.filter((process_) => process_.marks === "hidden" && !owned.has(process_.pid));
    return { found, doubts: (since) => unowned.filter((process_) => isDoubtful(process_, byPid, since)) };
  }

  *#inherited(
    process_: LiveProcess,
    byPid: ReadonlyMap<number, LiveProcess>,
    owned: ReadonlyMap<number, ReadonlyMap<string, Owner>>,
  ): Iterable<Owner> {
    const parent = byPid.get(process_.parent);
    if (parent !== undefined && parent.startTime <= process_.startTime)
      yield* [...(owned.get(parent.pid)?.values() ?? [])];
    for (const leader of [process_.group, process_.terminal]) {
      if (leader === process_.pid) continue;
      const tracked = this.#tracked.get(leader);
      if (tracked !== undefined && tracked.startTime <= process_.startTime) yield* tracked.owners.values();
      yield* [...(owned.get(leader)?.values() ?? [])];
    }
  }

  #forgetReused(processes: readonly LiveProcess[], byPid: ReadonlyMap<number, LiveProcess>): void {
    const led = new Set(processes.flatMap((process_) => [process_.group, process_.terminal]));
    for (const [pid, tracked] of this.#tracked) {
      const current = byPid.get(pid);
      const gone = current === undefined ? !led.has(pid) : current.startTime !== tracked.startTime;
      if (gone) this.#tracked.delete(pid);
    }
  }
}

function isDoubtful(process_: LiveProcess, byPid: ReadonlyMap<number, LiveProcess>, since: number): boolean {
  let current: LiveProcess | undefined = process_;
  while (current !== undefined && current.marks === "hidden") {
    if (current.startTime < since) return false;
    // The parent of an orphan does not say who started it.
    if (current.parent === 1 || byPid.get(current.parent)?.name === "systemd") return true;
    // A look leaves out one process: the host itself.
    if (current.parent === process.pid) return false;
    current = byPid.get(current.parent);
    if (current === undefined) return true;
  }
  return false;
}

function matching(look: Look, aim: Aim): readonly Found[] {
  return onePerProcess(look.found.filter((found) => isAimedAt(found.owner, aim)));
}

function isAimedAt(owner: Owner, aim: Aim): boolean {
  if (owner.session !== aim.session) return false;
  if (aim.instance !== null && owner.instance !== aim.instance) return false;
  // A process without a generation may be of any, so it counts: doubt is never absence.
  return owner.generation === null || owner.generation === aim.generation;
}

function ownerOf(marks: Marks): Owner {
  return { session: marks.session, instance: marks.instance, generation: marks.generation };
}

function carries(marks: LiveProcess["marks"], owner: Owner): boolean {
  return typeof marks !== "string" && keyOf(ownerOf(marks)) === keyOf(owner);
}

function keyOf(owner: Owner): string {
  return JSON.stringify([owner.session, owner.instance, owner.generation]);
}

function kindOf(process_: LiveProcess, owner: Owner): Found["kind"] {
  if (owner.instance === null) return "legacy";
  const role = typeof process_.marks !== "string" && carries(process_.marks, owner) ? process_.marks.role : null;
  return role === "guardian" || role === "wrapper" ? role : "job";
}

/** Shows a process with two owners once, by the owner that names an instance. */
function onePerProcess(all: readonly Found[]): readonly Found[] {
  const best = new Map<number, Found>();
  for (const found of all) {
    const earlier = best.get(found.pid);
    if (earlier === undefined || (earlier.owner.instance === null && found.owner.instance !== null))
      best.set(found.pid, found);
  }
  return [...best.values()];
}
