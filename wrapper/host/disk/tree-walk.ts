/** Visits every entry of a tree. Keeps few directories open, and uses no path that could be too long. */
import { OpenDirectory } from "./open-directory.ts";

export interface TreeVisitor {
  /** Called before a directory is opened. */
  readonly entering?: (path: Buffer) => Promise<void>;
  /** Called for everything except directories. `length`: bytes of its path below the tree. */
  readonly entry: (path: Buffer, length: number) => Promise<void>;
  /** Called for a directory after all its entries, except for the tree's own. */
  readonly left: (path: Buffer, length: number) => Promise<void>;
  /**
   * A directory that cannot be opened, or in which another file system is mounted. `again`: it is opened once more.
   * `skip`: nothing below it is visited, and `left` is not called. `enter`: what is mounted is visited as well.
   */
  readonly blocked: (path: Buffer, why: Blocked) => Promise<"again" | "skip" | "enter">;
}

export type Blocked =
  | { readonly type: "mounted"; readonly directory: OpenDirectory }
  | { readonly type: "unreadable"; readonly error: unknown };

/** A directory was moved while it was visited, so the way back to its parent is lost. */
export class TreeChanged extends Error {}

/** Enough to keep the file system busy: Node runs four calls at a time. */
const atOnce = 64;
/** Mounts can be stacked. */
const tries = 32;
/** Directories above the current one that stay open. Above those the way back is `..`, which a rename would mislead. */
const keptOpen = 64;

interface Frame {
  readonly name: Buffer;
  readonly length: number;
  readonly identity: string;
  readonly pending: Buffer[];
  directory: OpenDirectory | null;
}

/** `mount`: that of the tree; null: its own directory's. */
export async function walkTree(root: string, visitor: TreeVisitor, mount: string | null = null): Promise<void> {
  const frames: Frame[] = [];
  try {
    const top = await OpenDirectory.open(root);
    const home = mount ?? top.mount;
    frames.push(await opened(top, Buffer.from(root), 0, visitor));
    for (let frame = frames.at(-1); frame?.directory != null; frame = frames.at(-1)) {
      const name = frame.pending.pop();
      if (name === undefined) await leave(frames, visitor);
      else await descend(frames, frame.directory, name, home, visitor);
    }
  } finally {
    for (const { directory } of frames) await directory?.close();
  }
}

async function opened(directory: OpenDirectory, name: Buffer, length: number, visitor: TreeVisitor): Promise<Frame> {
  try {
    const { directories, others } = await directory.names();
    for (let index = 0; index < others.length; index += atOnce) {
      const some = others.slice(index, index + atOnce);
      await Promise.all(some.map((other) => visitor.entry(directory.at(other), length + 1 + other.length)));
    }
    return { name, length, identity: await directory.identity(), pending: [...directories], directory };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function leave(frames: Frame[], visitor: TreeVisitor): Promise<void> {
  const frame = frames.pop();
  const above = frames.at(-1);
  try {
    if (frame?.directory == null || above === undefined) return;
    if (above.directory === null) {
      above.directory = await OpenDirectory.open(frame.directory.at(".."));
      if ((await above.directory.identity()) !== above.identity)
        throw new TreeChanged("A directory was moved while it was visited.");
    }
    await visitor.left(above.directory.at(frame.name), frame.length);
  } finally {
    await frame?.directory?.close();
  }
}

async function descend(
  frames: Frame[],
  parent: OpenDirectory,
  name: Buffer,
  home: string,
  visitor: TreeVisitor,
): Promise<void> {
  const length = (frames.at(-1)?.length ?? 0) + 1 + name.length;
  const below = await enter(parent.at(name), home, visitor);
  if (below === null) return;
  frames.push(await opened(below, name, length, visitor));
  const closing = frames.at(-2);
  if (frames.length <= keptOpen || closing === undefined) return;
  closing.directory = null;
  await parent.close();
}

async function enter(path: Buffer, home: string, visitor: TreeVisitor): Promise<OpenDirectory | null> {
  for (let attempt = 0; attempt < tries; attempt += 1) {
    let directory;
    try {
      await visitor.entering?.(path);
      directory = await OpenDirectory.open(path);
    } catch (error) {
      if ((await visitor.blocked(path, { type: "unreadable", error })) === "again") continue;
      return null;
    }
    if (directory.mount === home) return directory;
    const next = await visitor.blocked(path, { type: "mounted", directory });
    if (next === "enter") return directory;
    await directory.close();
    if (next === "skip") return null;
  }
  return null;
}
