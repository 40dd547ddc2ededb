/**
 * Where snapshots lie in the bucket, and when one counts. Each name has three objects: the archive, the acknowledgement
 * (written last, after the archive was read back whole), and the tombstone of a removal, which outlives both.
 *
 * A save and a removal may overlap, from two objects. The removal writes its tombstone first and then deletes; the save
 * looks for the tombstone after its last write and takes everything back. R2 is strongly consistent, so one of the two
 * sees the other.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import { archiveSum, type ArchiveSum } from "../../../protocol/sandbox/toolbox.ts";
import { jsonOf } from "../../http-reply.ts";
import type { StoredSnapshot } from "../../agent-sandbox.ts";
import type { Digest, SnapshotBucket, UploadedPart } from "../platform/container-platform.ts";

/** R2's parts are at least 5 MiB; two of them at once fit an object's 128 MB many times over. */
const partBytes = 8 * 1024 * 1024;
const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

export const notAName = failed(
  "invalid",
  "The id of the snapshot is not one that Mooring gives, so there can be no such snapshot.",
  "none",
);
export const noBucket = failed(
  "unsupported",
  "This deployment has no bucket for snapshots (binding SNAPSHOTS), so files can be neither saved nor restored.",
  "none",
);

export interface SnapshotNames {
  readonly archive: string;
  readonly acknowledged: string;
  readonly removed: string;
}

/** null: Mooring never gave such a name. */
export function snapshotNames(session: string, name: string): SnapshotNames | null {
  if (!namePattern.test(session) || !namePattern.test(name)) return null;
  const prefix = `snapshots/${session}/${name}`;
  return { archive: `${prefix}.tar`, acknowledged: `${prefix}.json`, removed: `${prefix}.removed` };
}

export async function isRemoved(bucket: SnapshotBucket, names: SnapshotNames): Promise<boolean> {
  return (await bucket.head(names.removed)) !== null;
}

/**
 * null: the snapshot does not exist, or was removed. A row that cannot be understood throws, because it must not be
 * taken for absent.
 */
export async function acknowledgement(bucket: SnapshotBucket, names: SnapshotNames): Promise<ArchiveSum | null> {
  if (await isRemoved(bucket, names)) return null;
  const stored = await bucket.get(names.acknowledged);
  return stored === null ? null : archiveSum.parse(jsonOf(await new Response(stored.body).text()));
}

/** Durable before it returns, whatever is being saved at that moment. */
export async function removeSnapshot(bucket: SnapshotBucket, names: SnapshotNames): Promise<void> {
  await bucket.put(names.removed, "");
  await bucket.delete([names.acknowledged, names.archive]);
}

/**
 * Every stored object of the snapshot but the tombstone. An upload that was never completed is in no listing and cannot
 * be restored.
 */
export async function storedUnder(bucket: SnapshotBucket, names: SnapshotNames): Promise<StoredSnapshot> {
  const heads = await Promise.all([bucket.head(names.archive), bucket.head(names.acknowledged)]);
  const sizes = heads.flatMap((head) => (head === null ? [] : [head.size]));
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0), asked: `bucket, ${names.archive}` };
}

/**
 * Streams to the bucket in parts and answers what was written. A failure, or the end of its time, leaves no archive.
 */
export async function upload(
  bucket: SnapshotBucket,
  names: SnapshotNames,
  stream: ReadableStream<Uint8Array>,
  digest: Digest,
  signal: AbortSignal,
): Promise<ArchiveSum> {
  const multipart = await bucket.createMultipartUpload(names.archive);
  try {
    const parts: UploadedPart[] = [];
    let bytes = 0;
    for await (const part of inParts(stream)) {
      signal.throwIfAborted();
      await digest.update(part);
      bytes += part.byteLength;
      parts.push(await multipart.uploadPart(parts.length + 1, part));
    }
    signal.throwIfAborted();
    await multipart.complete(parts);
    return { bytes, sha256: await digest.end() };
  } catch (error) {
    await multipart.abort().catch(() => {});
    throw error;
  }
}

/** Reads what is in the bucket now to its end. null: there is nothing. */
export async function sumOf(bucket: SnapshotBucket, key: string, digest: Digest): Promise<ArchiveSum | null> {
  const stored = await bucket.get(key);
  if (stored === null) return null;
  let bytes = 0;
  for await (const chunk of chunksOf(stored.body)) {
    await digest.update(chunk);
    bytes += chunk.byteLength;
  }
  return { bytes, sha256: await digest.end() };
}

/** Acknowledges the archive only if the bytes in the bucket are the bytes that the container packed. */
export async function acknowledge(
  bucket: SnapshotBucket,
  names: SnapshotNames,
  packed: ArchiveSum,
  stored: ArchiveSum | null,
): Promise<ProviderResult<{ readonly bytes: number }>> {
  if (stored === null || !isSame(stored, packed)) {
    await bucket.delete([names.archive]);
    return failed(
      "unavailable",
      "The bucket keeps an archive of another size or checksum than the sandbox packed, so it does not count as saved.",
      "none",
    );
  }
  await bucket.put(names.acknowledged, JSON.stringify(packed));
  if (!(await isRemoved(bucket, names))) return succeeded({ bytes: packed.bytes });
  await bucket.delete([names.acknowledged, names.archive]);
  return failed("refused_retired", "That snapshot was deleted before, and its name is not used again.", "none");
}

export function isSame(one: ArchiveSum, other: ArchiveSum): boolean {
  return one.bytes === other.bytes && one.sha256 === other.sha256;
}

async function* inParts(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  let part = new Uint8Array(partBytes);
  let filled = 0;
  for await (const chunk of chunksOf(stream)) {
    for (let taken = 0; taken < chunk.byteLength;) {
      const piece = chunk.subarray(taken, taken + partBytes - filled);
      part.set(piece, filled);
      filled += piece.byteLength;
      taken += piece.byteLength;
      if (filled < partBytes) continue;
      yield part;
      part = new Uint8Array(partBytes);
      filled = 0;
    }
  }
  // An archive is never empty, and R2 allows a first part of any size if it is also the last.
  if (filled > 0) yield part.subarray(0, filled);
}

async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Nothing is read any more, so the sender may stop.
    await reader.cancel().catch(() => {});
  }
}
