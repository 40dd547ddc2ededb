/** A real repository for tests that clone: two commits, a branch, a tag; in a directory, or served over HTTP on the loopback. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { join } from "node:path";

export interface GitRepository {
  readonly directory: string;
  /** Of the first commit, which no branch ends in. */
  readonly first: string;
}

export function makeRepository(parent: string): GitRepository {
  const directory = join(parent, "repository");
  mkdirSync(directory);
  const git = (...args: string[]): string =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.invalid", ...args], {
      cwd: directory,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: parent, GIT_CONFIG_NOSYSTEM: "1" },
    }).trim();
  git("init", "--quiet", "--initial-branch=main");
  writeFileSync(join(directory, "README"), "first\n");
  git("add", ".");
  git("commit", "--quiet", "-m", "first");
  const first = git("rev-parse", "HEAD");
  git("tag", "v1");
  writeFileSync(join(directory, "README"), "second\n");
  git("commit", "--quiet", "-am", "second");
  git("branch", "feature/one");
  // A commit by its id, and a shallow clone of a directory, are asked for over the wire of git itself.
  git("config", "uploadpack.allowAnySHA1InWant", "true");
  git("update-server-info");
  return { directory, first };
}

export interface ServedRepository {
  readonly url: string;
  /** The `authorization` of each request. */
  readonly seen: readonly (string | undefined)[];
  close(): void;
}

/** Git's "dumb" HTTP: plain files. `needs`: what the `authorization` of every request must be. */
export async function serveRepository({ directory }: GitRepository, needs?: string): Promise<ServedRepository> {
  const seen: (string | undefined)[] = [];
  const server: Server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    if (needs !== undefined && request.headers.authorization !== needs) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    const path = new URL(`http://git${request.url ?? "/"}`).pathname.replace(/^\/site\.git/, "/.git");
    try {
      response.end(readFileSync(join(directory, path)));
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}/site.git`,
    seen,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
