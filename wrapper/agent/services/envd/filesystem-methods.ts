/** E2B's `filesystem.Filesystem` without watching: entries, directories, moves, removals. */
import { lstat, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { z } from "zod";
import type { Exchange, ServiceRoute } from "../exchange.ts";
import type { FilePath } from "../files/paths.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { checkCaller } from "./caller.ts";
import type { E2bPaths } from "./e2b-paths.ts";
import type { EntryInfos } from "./entry-info.ts";
import { RpcFailure, unary } from "./rpc.ts";
import { errnoOf } from "../../../proc/errno.ts";

const byPath = z.object({ path: z.string() });
const list = byPath.extend({ depth: z.int().min(0).max(1_000).nullish() });
const move = z.object({ source: z.string(), destination: z.string() });
const directoryMode = 0o755;
/** Entries of one answer. */
const maxEntries = 100_000;

export function filesystemMethods(paths: E2bPaths, infos: EntryInfos): readonly ServiceRoute[] {
  const at = (given: string): FilePath => paths.resolve(Buffer.from(given));
  return [
    unary("filesystem.Filesystem/Stat", byPath, async ({ path }, exchange) => {
      checked(exchange);
      return { entry: await infos.one(at(path)) };
    }),
    unary("filesystem.Filesystem/ListDir", list, async ({ path, depth }, exchange) => {
      checked(exchange);
      const root = at(path);
      await refuseNoDirectory(root);
      const found: FilePath[] = [];
      await collect(root, Math.max(1, depth ?? 1), found);
      return { entries: await infos.all(found) };
    }),
    unary("filesystem.Filesystem/MakeDir", byPath, async ({ path }, exchange) => {
      checked(exchange);
      const wanted = at(path);
      await makeDirectory(wanted);
      return { entry: await infos.one(wanted) };
    }),
    unary("filesystem.Filesystem/Move", move, async ({ source, destination }, exchange) => {
      checked(exchange);
      const to = at(destination);
      await moveEntry(at(source), to);
      return { entry: await infos.one(to) };
    }),
    unary("filesystem.Filesystem/Remove", byPath, async ({ path }, exchange) => {
      checked(exchange);
      const target = at(path);
      await rm(target.bytes, { recursive: true, force: true }).catch((error: unknown) => {
        throw fileFailure(error, target.text);
      });
      return {};
    }),
  ];
}

function checked({ request }: Exchange): void {
  checkCaller(request.headers.authorization);
}

/** The root may be a link to a directory; those below are not followed. */
export async function refuseNoDirectory(root: FilePath): Promise<void> {
  const stats = await stat(root.bytes).catch((error: unknown) => {
    throw fileFailure(error, root.text);
  });
  if (!stats.isDirectory())
    throw new ServiceFailure("not_a_directory", `path '${root.text}' is not a directory`, { path: root.text });
}

/** Depth first, names in order. */
async function collect(directory: FilePath, depth: number, found: FilePath[]): Promise<void> {
  const names = await readdir(directory.bytes, { encoding: "buffer" }).catch((error: unknown) => {
    throw fileFailure(error, directory.text);
  });
  for (const name of names.sort((a, b) => Buffer.compare(a, b))) {
    if (found.length >= maxEntries)
      throw new RpcFailure("resource_exhausted", `More than ${maxEntries} entries. List fewer levels at once.`);
    const path = directory.child(name.toString("latin1"));
    found.push(path);
    if (depth > 1 && (await isDirectory(path))) await collect(path, depth - 1, found);
  }
}

async function isDirectory(path: FilePath): Promise<boolean> {
  return (await lstat(path.bytes).catch(() => null))?.isDirectory() === true;
}

async function makeDirectory(path: FilePath): Promise<void> {
  const present = await stat(path.bytes).catch(() => null);
  if (present?.isDirectory() === true)
    throw new ServiceFailure("already_exists", `directory already exists: ${path.text}`, { path: path.text });
  if (present !== null)
    throw new ServiceFailure("not_a_directory", `path already exists but it is not a directory: ${path.text}`);
  await mkdir(path.bytes, { recursive: true, mode: directoryMode }).catch((error: unknown) => {
    throw fileFailure(error, path.text);
  });
}

async function moveEntry(source: FilePath, destination: FilePath): Promise<void> {
  try {
    await mkdir(destination.directory.bytes, { recursive: true, mode: directoryMode });
    await rename(source.bytes, destination.bytes);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw fileFailure(error, source.text);
    const { message } = fileFailure(error, source.text);
    throw new RpcFailure("internal", message);
  }
}
