/**
 * One control group of the kernel (cgroup v2) for each instance, where this host may make them. Every process that the
 * instance starts is in it, however it hides; only root can move itself out. Without cgroup v2, or without the right to
 * write there, the host goes by marks and lineage alone, and each look says so: containment `marker`.
 *
 * A group is named for its owner, so that a host that was restarted or lost its records still knows whose it is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Owner } from "./residue.ts";

export class Cgroups {
  readonly #base: string;

  private constructor(base: string) {
    this.#base = base;
  }

  /** Makes a group and removes it, to prove that it can. null: this host cannot make groups. */
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

  /** Call it before that process starts another: all that it starts from then on is in the group. false: it failed. */
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

  /** Every process of that generation was started in a group that still exists. */
  holds(session: string, generation: number): boolean {
    return this.#groups().some(({ owner }) => owner.session === session && owner.generation === generation);
  }

  /** Every process in a group, with its owner. */
  members(): readonly { readonly pid: number; readonly owner: Owner }[] {
    return this.#groups().flatMap(({ path, owner }) => pidsIn(path).map((pid) => ({ pid, owner })));
  }

  /** For a sandbox that is retired and empty. The kernel keeps a group that still has processes. */
  remove(session: string, generation: number): void {
    for (const { path, owner } of this.#groups())
      if (owner.session === session && owner.generation === generation) removeTree(path);
  }

  /** At the end of the host. Groups that still have processes stay. */
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

/** Includes groups that a job made below its own. */
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
    // It does not exist, or it has processes, which the next look finds.
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

/** The group of this process in the hierarchy of v2; null: this machine has none. */
function ownGroup(): string | null {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readIfThere("/proc/self/mounts"))?.[1];
  const own = /^0::(\/.*)$/m.exec(readIfThere("/proc/self/cgroup"))?.[1];
  if (mount === undefined || own === undefined) return null;
  const path = join(mount, own);
  return existsSync(path) ? path : null;
}
