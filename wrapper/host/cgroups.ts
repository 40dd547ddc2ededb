/**
 * One control group of the kernel (cgroup v2) for each instance, where this host may make them. Whatever a process of the
 * instance starts is in it, however it hides from its group, its environment and its parents; only who has root's rights
 * can move itself out. Where there is none (no v2, not writable, a read-only mount) the host goes by marks and lineage
 * alone, and says so with each look: containment `marker`.
 *
 * A group is named for its owner, so that a host that was restarted, or lost its records, still knows whose it is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Owner } from "./residue.ts";

export class Cgroups {
  readonly #base: string;

  private constructor(base: string) {
    this.#base = base;
  }

  /** Proven by making one and removing it; null: there are none to be had. */
  static open(hostId: string): Cgroups | null {
    const parent = ownGroup();
    if (parent === null) return null;
    const base = join(parent, `mooring-${hostId}`);
    const probe = join(base, "probe");
    try {
      mkdirSync(base, { recursive: true });
      mkdirSync(probe, { recursive: true });
      readFileSync(join(probe, "cgroup.procs"), "utf8");
      rmdirSync(probe);
      return new Cgroups(base);
    } catch {
      return null;
    }
  }

  /** Before that process has started anything: from then on all it starts is in. false: it could not be. */
  enter(owner: Owner & { readonly instance: string }, pid: number): boolean {
    const path = this.#path(owner);
    try {
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, "cgroup.procs"), String(pid));
      return true;
    } catch {
      removeTree(path);
      return false;
    }
  }

  /** Whether everything of that generation was started in a group that is still there. */
  holds(session: string, generation: number): boolean {
    return this.#groups().some(({ owner }) => owner.session === session && owner.generation === generation);
  }

  /** Every process in a group, with whose it is. */
  members(): readonly { readonly pid: number; readonly owner: Owner }[] {
    return this.#groups().flatMap(({ path, owner }) => pidsIn(path).map((pid) => ({ pid, owner })));
  }

  /** Of a sandbox that is empty and retired. One that is not empty stays: the kernel refuses. */
  remove(session: string, generation: number): void {
    for (const { path, owner } of this.#groups())
      if (owner.session === session && owner.generation === generation) removeTree(path);
  }

  /** At the end of the host, when nothing is left. */
  removeEmpty(): void {
    removeTree(this.#base);
  }

  #path({ session, generation, instance }: Owner): string {
    return join(this.#base, `${session}.${generation ?? 0}.${instance ?? ""}`);
  }

  #groups(): readonly { readonly path: string; readonly owner: Owner }[] {
    return directoriesIn(this.#base).flatMap((name) => {
      const [, session, generation, instance] = /^([^.]+)\.(\d+)\.([^.]+)$/.exec(name) ?? [];
      if (session === undefined || instance === undefined) return [];
      return [{ path: join(this.#base, name), owner: { session, instance, generation: Number(generation) } }];
    });
  }
}

/** A job may have made groups of its own below. */
function pidsIn(path: string): readonly number[] {
  const own = readIfThere(join(path, "cgroup.procs"))
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
  return [...own, ...directoriesIn(path).flatMap((name) => pidsIn(join(path, name)))];
}

function removeTree(path: string): void {
  for (const name of directoriesIn(path)) removeTree(join(path, name));
  try {
    rmdirSync(path);
  } catch {
    // Not there, or something is in it: it is found by the next look.
  }
}

function directoriesIn(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Where this process is in the one hierarchy of v2; null: there is none. */
function ownGroup(): string | null {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readIfThere("/proc/self/mounts"))?.[1];
  const own = /^0::(\/.*)$/m.exec(readIfThere("/proc/self/cgroup"))?.[1];
  if (mount === undefined || own === undefined) return null;
  const path = join(mount, own);
  return existsSync(path) ? path : null;
}
