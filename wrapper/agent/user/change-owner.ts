/**
 * Changes the owner of a directory and of all in it. Jobs may have made the contents, so no name is trusted to lead where it led a
 * moment ago: everything is opened relative to its directory's descriptor. A link itself changes owner, its target never does;
 * devices, other file systems and files with a second hard link are refused.
 *
 * The top goes last: a top that already belongs to the user means a finished run, which is not repeated.
 */
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
  type Stats,
} from "node:fs";
import type { RunAs } from "./job-user.ts";

/** A launch waits for this. An image with more files must give them to that user itself. */
const maxMs = 10_000;
const maxEntries = 1_000_000;
/** Each level holds a descriptor. */
const maxDepth = 200;

export class CannotChangeOwner extends Error {}

export function changeOwner(directory: string, to: RunAs): void {
  const top = openDirectory(Buffer.from(directory));
  try {
    const stats = fstatSync(top);
    if (isGiven(stats, to)) return;
    const giving = new Giving(to, stats.dev);
    giving.all(top, 0);
    giving.refuseNamesOutside();
    fchownSync(top, to.uid, to.gid);
  } finally {
    closeSync(top);
  }
}

class Giving {
  readonly #to: RunAs;
  readonly #device: number;
  readonly #until = performance.now() + maxMs;
  /** Of files with several names: how many of them were not seen yet, by inode. Given at the last one. */
  readonly #namesLeft = new Map<number, number>();
  #left = maxEntries;

  constructor(to: RunAs, device: number) {
    this.#to = to;
    this.#device = device;
  }

  all(directory: number, depth: number): void {
    if (depth > maxDepth) throw new CannotChangeOwner(`directories are nested deeper than ${maxDepth}`);
    const path = `/proc/self/fd/${directory}`;
    // Names as bytes: not every one is text.
    for (const name of readdirSync(path, { encoding: "buffer" })) {
      this.#left -= 1;
      if (this.#left < 0) throw new CannotChangeOwner(`there are more than ${maxEntries} files`);
      if (performance.now() > this.#until) throw new CannotChangeOwner(`it takes longer than ${maxMs} ms`);
      this.#one(Buffer.concat([Buffer.from(`${path}/`), name]), depth);
    }
  }

  refuseNamesOutside(): void {
    if ([...this.#namesLeft.values()].some((left) => left > 0))
      throw new CannotChangeOwner("a file in it has a further name outside of it");
  }

  #wasLastName({ ino, nlink }: Stats): boolean {
    const left = (this.#namesLeft.get(ino) ?? nlink) - 1;
    this.#namesLeft.set(ino, left);
    return left === 0;
  }

  #one(path: Buffer, depth: number): void {
    const stats = lstatSync(path);
    if (stats.dev !== this.#device) throw new CannotChangeOwner("a part of it is on another file system");
    if (stats.isDirectory()) {
      const inside = openDirectory(path);
      try {
        if (fstatSync(inside).dev !== this.#device)
          throw new CannotChangeOwner("a part of it is on another file system");
        this.all(inside, depth + 1);
        fchownSync(inside, this.#to.uid, this.#to.gid);
      } finally {
        closeSync(inside);
      }
      return;
    }
    if (isGiven(stats, this.#to)) return;
    if (stats.isCharacterDevice() || stats.isBlockDevice()) throw new CannotChangeOwner("there is a device in it");
    if (stats.nlink > 1 && !this.#wasLastName(stats)) return;
    lchownSync(path, this.#to.uid, this.#to.gid);
  }
}

function isGiven(stats: Stats, { uid, gid }: RunAs): boolean {
  return stats.uid === uid && stats.gid === gid;
}

/** Fails on a link. */
function openDirectory(path: Buffer): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}
