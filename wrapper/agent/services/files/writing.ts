/** `PUT /files`: a file from the bytes of the request, under the conditions that its headers name. */
import type { IncomingMessage } from "node:http";
import type { BigIntStats } from "node:fs";
import { link, mkdir, rename, unlink } from "node:fs/promises";
import type { Readable } from "node:stream";
import { answerJson, type Exchange } from "../exchange.ts";
import { fileFailure, isBrokenOff, ServiceFailure } from "../service-failure.ts";
import { checkPreconditions } from "./conditions.ts";
import { entryOf, etagOf } from "./entries.ts";
import { metadataFrom, type FileMetadata } from "./metadata.ts";
import { resolvePath, type FilePath, type BaseDirectories } from "./paths.ts";
import { followed, refuseNoFile, replaceFile, statIfThere } from "./replacing.ts";
import { errnoOf } from "../../../proc/errno.ts";

export function writeFileRoute(base: BaseDirectories, kept: FileMetadata): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const { query, request } = exchange;
    const given = resolvePath(query.bytes("path"), base);
    const mode = modeFrom(query.text("mode"));
    const metadata = metadataFrom(query.text("metadata"));
    try {
      const path = await followed(given);
      const present = await statIfThere(path);
      refuseNoFile(present, given);
      checkPreconditions(request.headers, representation(present), false);
      if (query.flag("parents", true)) await mkdir(path.directory.bytes, { recursive: true });
      await replaceFile(path, {
        present,
        body: whole(request),
        mode,
        finish: async (written) => {
          if (metadata !== null) await kept.set(written, metadata);
        },
        takePlace: (draft) => takePlace(exchange, draft, path),
      });
      const entry = await entryOf(path);
      const headers: Record<string, string> = entry.etag === undefined ? {} : { etag: entry.etag };
      answerJson(exchange, present === null ? 201 : 200, entry, headers);
    } catch (error) {
      // Not `request.destroyed`: a full disk in the middle of an upload destroys the request too.
      if (isBrokenOff(error)) throw brokenOff();
      throw fileFailure(error, given.text);
    }
  };
}

function representation(stats: BigIntStats | null): { etag: string; modifiedAt: number } | null {
  if (stats === null) return null;
  return { etag: etagOf(stats), modifiedAt: Number(stats.mtimeNs / 1_000_000_000n) * 1_000 };
}

async function takePlace({ request }: Exchange, draft: FilePath, path: FilePath): Promise<void> {
  // Asked again: another writer may have been faster.
  checkPreconditions(request.headers, representation(await statIfThere(path)), false);
  if (request.headers["if-none-match"]?.trim() !== "*") return rename(draft.bytes, path.bytes);
  // A rename would replace a file that came meanwhile; a link does not.
  try {
    await link(draft.bytes, path.bytes);
  } catch (error) {
    if (errnoOf(error) === "EEXIST")
      throw new ServiceFailure("precondition_failed", "If-None-Match does not hold: there is a file of this name now.");
    throw error;
  }
  await unlink(draft.bytes);
}

/**
 * A body that was cut off ends like one that is whole, so the request is asked at its end. `body`: the request, or what it is unpacked
 * to. A reader that stops early must not destroy it: that would close the connection before the client has read why.
 */
export async function* whole(request: IncomingMessage, body: Readable = request): AsyncGenerator<Buffer, void> {
  yield* body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  if (!request.complete) throw brokenOff();
}

function brokenOff(): ServiceFailure {
  return new ServiceFailure("invalid", "The upload broke off; the file is as it was.");
}

export function modeFrom(text: string | null): number | null {
  if (text === null) return null;
  if (!/^[0-7]{3,4}$/.test(text)) throw new ServiceFailure("invalid", "mode: three or four octal digits, such as 644.");
  return Number.parseInt(text, 8);
}
