/**
 * Paths as E2B's programs write them: their home is `/home/user`, and relative paths begin there.
 *
 * Here that is the workspace, which is what a pause keeps. Where `/home/user` leads to the workspace for real (a container of its own, see
 * user/home-in-workspace.ts), or is the real home of the user, paths stay as they are. Elsewhere (the local host runs sandboxes as a developer's processes) the name is translated both ways,
 * so that a program which writes `/home/user/a` neither fails nor touches the home of somebody else. Commands see the real path.
 */
import { realpathSync } from "node:fs";
import { FilePath, resolvePath, type BaseDirectories } from "../files/paths.ts";

const usualHome = "/home/user";
const usualUser = "user";

export class E2bPaths {
  readonly #base: BaseDirectories;
  readonly #home: string;
  readonly #translates: boolean;
  /** What the kernel calls the home; null: as it is called here. */
  readonly #realHome: string | null;

  constructor(base: BaseDirectories) {
    const isWorkspace = leadsTo(usualHome, base.workspace);
    this.#translates = base.home !== usualHome && !isWorkspace;
    this.#home = isWorkspace ? usualHome : base.workspace;
    this.#realHome = isWorkspace ? realpathSync(usualHome) : null;
    this.#base = { workspace: this.#home, home: this.#translates ? base.workspace : base.home };
  }

  /** Where commands start, and their HOME. */
  get base(): BaseDirectories {
    return this.#base;
  }

  resolve(given: Buffer): FilePath {
    const path = resolvePath(given, this.#base);
    return this.#translates ? new FilePath(moved(path.latin1, usualHome, latin1(this.#home))) : path;
  }

  /** Where the name of the home is translated, that of its owner is too: `user` means the one user of the sandbox. */
  owner(id: number, name: string, own: number | undefined): string {
    return this.#translates && id === own ? usualUser : name;
  }

  /** Where a link leads, as the client reads it: the kernel names the home by what is behind it. */
  shownTarget(path: string): string {
    return this.#realHome === null ? this.shown(path) : moved(path, this.#realHome, usualHome);
  }

  /** As the client reads it. */
  shown(path: string): string {
    return this.#translates ? moved(path, this.#home, usualHome) : path;
  }
}

function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function moved(path: string, from: string, to: string): string {
  return path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
}

function leadsTo(path: string, other: string): boolean {
  try {
    return realpathSync(path) === realpathSync(other);
  } catch {
    return false;
  }
}
