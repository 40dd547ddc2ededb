/** What a check of the kit does to a saved archive behind the provider's back. */
import assert from "node:assert/strict";
import { snapshotNames } from "../../src/sandbox/cloudflare/files/snapshot-shelf.ts";
import type { StandInBucket } from "../support/cloudflare/stand-in-bucket.ts";

/** One bit in the middle of the archive is another: what a disk that lies gives back. */
export function changed(archive: Uint8Array): Uint8Array {
  const middle = Math.floor(archive.byteLength / 2);
  return archive.map((byte, index) => (index === middle ? byte ^ 1 : byte));
}

export function spoilIn(bucket: StandInBucket, session: string, name: string, how: "changed" | "gone"): void {
  const archive = snapshotNames(session, name)?.archive;
  const bytes = archive === undefined ? undefined : bucket.objects.get(archive);
  assert.ok(archive !== undefined && bytes !== undefined, "there is such an archive");
  if (how === "gone") bucket.objects.delete(archive);
  else bucket.objects.set(archive, changed(bytes));
}
