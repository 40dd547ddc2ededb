/**
 * Paths as E2B's programs write them: their home is `/home/user`, and relative paths begin there.
 *
 * Here that is the workspace, which is what a pause keeps. Where `/home/user` leads to the workspace for real, or is the real home of the
 * user, paths stay as they are. Elsewhere (the local host runs sandboxes as a developer's processes) the name is translated both ways,
 * so that a program which writes `/home/user/a` neither fails nor touches the home of somebody else. Commands see the real path.
 */
import { realpathSync } from "node:fs";
import { FilePath, resolvePath, type Places } from "../files/paths.ts";

const usualHome = "/home/user";
const usualUser = "user";

export class E2bPaths {
  readonly #places: Places;
  readonly #home: string;
  readonly #translates: boolean;

  constructor(places: Places) {
    const isReal = places.home === usualHome || leadsTo(usualHome, places.workspace);
    this.#translates = !isReal;
    this.#home = leadsTo(usualHome, places.workspace) ? usualHome : places.workspace;
    this.#places = { workspace: this.#home, home: this.#translates ? places.workspace : places.home };
  }

  /** Where commands start, and their HOME. */
  get places(): Places {
    return this.#places;
  }

  resolve(given: Buffer): FilePath {
    const path = resolvePath(given, this.#places);
    return this.#translates ? new FilePath(moved(path.latin1, usualHome, latin1(this.#home))) : path;
  }

  /** Where the name of the home is translated, that of its owner is too: `user` means the one user of the sandbox. */
  owner(id: number, name: string, own: number | undefined): string {
    return this.#translates && id === own ? usualUser : name;
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
