/** `GET /files/stat`, `POST /files/mkdir`, `POST /files/move`, `DELETE /files`. */
import { lstat, mkdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { answerJson, type Exchange } from "../exchange.ts";
import { fileFailure, ServiceFailure } from "../service-failure.ts";
import { checkPreconditions } from "./conditions.ts";
import { entryOf, etagOf } from "./entries.ts";
import type { Describe } from "./listing.ts";
import { resolvePath, type FilePath, type BaseDirectories } from "./paths.ts";
import { modeFrom } from "./writing.ts";
import { errnoOf } from "../../../proc/errno.ts";

type Handle = (exchange: Exchange) => Promise<void>;

export function statRoute(base: BaseDirectories, more: Describe): Handle {
  return async (exchange) => {
    const path = resolvePath(exchange.query.bytes("path"), base);
    const entry = await about(path, () => entryOf(path));
    answerJson(exchange, 200, exchange.query.flag("metadata") ? await more(entry, path) : entry);
  };
}

export function mkdirRoute(base: BaseDirectories): Handle {
  return async (exchange) => {
    const { query } = exchange;
    const path = resolvePath(query.bytes("path"), base);
    const mode = modeFrom(query.text("mode"));
    const options = { recursive: query.flag("parents", true), ...(mode === null ? {} : { mode }) };
    const isNew = await about(path, async () => {
      const before = await lstat(path.bytes).catch(() => null);
      const made = await mkdir(path.bytes, options);
      return before === null || (made !== undefined && !options.recursive);
    });
    answerJson(exchange, isNew ? 201 : 200, await about(path, () => entryOf(path)));
  };
}

export function moveRoute(base: BaseDirectories): Handle {
  return async (exchange) => {
    const { query } = exchange;
    const from = resolvePath(query.bytes("from"), base, "from");
    const to = resolvePath(query.bytes("to"), base, "to");
    await about(from, () => lstat(from.bytes));
    await about(to, async () => {
      if (query.flag("parents", true)) await mkdir(to.directory.bytes, { recursive: true });
      if (!query.flag("overwrite", true) && (await isThere(to)))
        throw new ServiceFailure("already_exists", `${JSON.stringify(to.text)} exists already.`, { path: to.text });
      await rename(from.bytes, to.bytes);
    });
    answerJson(exchange, 200, await about(to, () => entryOf(to)));
  };
}

export function removeRoute(base: BaseDirectories): Handle {
  return async (exchange) => {
    const path = resolvePath(exchange.query.bytes("path"), base);
    const recursive = exchange.query.flag("recursive");
    await about(path, async () => {
      const stats = await lstat(path.bytes, { bigint: true });
      const modifiedAt = Number(stats.mtimeNs / 1_000_000_000n) * 1_000;
      checkPreconditions(exchange.request.headers, { etag: etagOf(stats), modifiedAt }, false);
      if (!stats.isDirectory()) return unlink(path.bytes);
      return recursive ? rm(path.bytes, { recursive: true, force: true, maxRetries: 2 }) : rmdir(path.bytes);
    });
    answerJson(exchange, 200, {});
  };
}

async function about<T>(path: FilePath, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw fileFailure(error, path.text);
  }
}

async function isThere(path: FilePath): Promise<boolean> {
  return lstat(path.bytes).then(
    () => true,
    (error: unknown) => {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    },
  );
}
