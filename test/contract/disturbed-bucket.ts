/** A bucket whose removals meet what a check of the kit orders; the objects' other calls are the bucket's own. */
import type { SnapshotBucket } from "../../src/sandbox/cloudflare/platform/container-platform.ts";
import type { FaultKind } from "./provider-harness.ts";

export class DisturbedBucket implements SnapshotBucket {
  /** What the next removal meets. */
  removal: FaultKind | null = null;
  readonly #bucket: SnapshotBucket;

  constructor(bucket: SnapshotBucket) {
    this.#bucket = bucket;
  }

  head(key: string): ReturnType<SnapshotBucket["head"]> {
    return this.#bucket.head(key);
  }

  get(key: string): ReturnType<SnapshotBucket["get"]> {
    return this.#bucket.get(key);
  }

  put(key: string, value: string): Promise<unknown> {
    return this.#bucket.put(key, value);
  }

  createMultipartUpload(key: string): ReturnType<SnapshotBucket["createMultipartUpload"]> {
    return this.#bucket.createMultipartUpload(key);
  }

  async delete(keys: string[]): Promise<void> {
    const fault = this.removal;
    this.removal = null;
    await this.#bucket.delete(keys);
    if (fault === "lost_reply") throw new Error("Network connection lost.");
    if (fault !== null) throw new Error(`The bucket knows no ${JSON.stringify(fault)} of a removal.`);
  }
}
