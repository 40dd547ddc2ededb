/**
 * A workspace as one tar, streamed between a container and the bucket over the platform's exec, so that no program
 * needs a port. The exit code of tar proves that an archive is complete; the digest is of the bytes that passed through
 * this object.
 */
import type { ArchiveSum } from "../../../protocol/sandbox/toolbox.ts";
import type { Digest, NativeCalls, SnapshotBucket } from "../platform/container-platform.ts";
import { isSame, type SnapshotNames, upload } from "./snapshot-shelf.ts";
import type { KeptFiles } from "./saving.ts";

const packing = ["tar", "--create", "--file=-", "--format=posix", "--sparse", "--numeric-owner"];
/**
 * Unpacked as root and owned by root. The agent gives the whole tree to the user of the jobs before any of them runs
 * (change-owner.ts).
 */
const unpacking = ["tar", "--extract", "--file=-", "--same-permissions", "--no-same-owner"];

/** Rejects, and leaves no archive, unless tar finished without a complaint. */
export async function streamOut(
  native: NativeCalls,
  bucket: SnapshotBucket,
  names: SnapshotNames,
  directory: string,
  digest: Digest,
  signal: AbortSignal,
): Promise<ArchiveSum> {
  const tar = await native.output([...packing, `--directory=${directory}`, "."]);
  // A tar that hangs would hold the upload past the time of the save. Killing it ends its stream.
  const stop = (): void => tar.kill();
  signal.addEventListener("abort", stop);
  let sum: ArchiveSum;
  try {
    sum = await upload(bucket, names, tar.stream, digest, signal);
  } catch (error) {
    // Nobody reads tar's output any more, so tar would wait for ever, and a second save would meet it.
    tar.kill();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
  try {
    await tar.ended;
  } catch (error) {
    await bucket.delete([names.archive]);
    throw error;
  }
  return sum;
}

/** Only a deletion in the bucket can cause this: a lifecycle rule, or a person. */
export const archiveMissing =
  "The archive was saved and is no longer in the bucket, so it cannot be restored. Look for a rule of the bucket that deletes objects.";

export const archiveDamaged =
  "The archive in the bucket has another size or checksum than what was saved, so nothing was started with it. Look for who else writes to that bucket.";

/**
 * Streams an archive into a container in which nothing of the instance runs yet. Rejects when the bucket's bytes are
 * not what was saved.
 */
export async function streamIn(
  native: NativeCalls,
  bucket: SnapshotBucket,
  files: KeptFiles,
  directory: string,
  digest: Digest,
): Promise<void> {
  const stored = await bucket.get(files.names.archive);
  if (stored === null) throw new Error(archiveMissing);
  let bytes = 0;
  const counted = stored.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: async (chunk, controller) => {
        bytes += chunk.byteLength;
        await digest.update(chunk);
        controller.enqueue(chunk);
      },
    }),
  );
  const script = 'rm -rf -- "$1" && mkdir -p -- "$1" && cd -- "$1" && shift && exec "$@"';
  await native.input(["/bin/sh", "-c", script, "sh", directory, ...unpacking], counted);
  if (!isSame({ bytes, sha256: await digest.end() }, files.sum))
    throw new Error("The archive came out of the bucket with another size or checksum than it was saved with.");
}
