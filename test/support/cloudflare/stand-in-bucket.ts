/** An R2 bucket in memory: strongly consistent, parts of one size of at least 5 MiB, nothing of an unfinished upload to be seen. */
import assert from "node:assert/strict";
import type { SnapshotBucket, SnapshotUpload } from "../../../src/sandbox/cloudflare/platform/container-platform.ts";

const leastPartBytes = 5 * 1024 * 1024;

export class StandInBucket implements SnapshotBucket {
  readonly objects = new Map<string, Uint8Array>();
  /** What a completed upload keeps of its bytes: a disk that lies. */
  corrupts: ((bytes: Uint8Array) => Uint8Array) | null = null;

  async head(key: string): Promise<{ size: number } | null> {
    const bytes = this.objects.get(key);
    return bytes === undefined ? null : { size: bytes.byteLength };
  }

  async get(key: string): Promise<{ body: ReadableStream<Uint8Array>; size: number } | null> {
    const bytes = this.objects.get(key);
    if (bytes === undefined) return null;
    const { body } = new Response(bytes.slice());
    assert.ok(body !== null);
    return { body, size: bytes.byteLength };
  }

  async put(key: string, value: string): Promise<void> {
    this.objects.set(key, new TextEncoder().encode(value));
  }

  async delete(keys: string[]): Promise<void> {
    for (const key of keys) this.objects.delete(key);
  }

  async createMultipartUpload(key: string): Promise<SnapshotUpload> {
    const parts = new Map<number, Uint8Array>();
    return {
      uploadPart: async (number, bytes) => {
        parts.set(number, bytes.slice());
        return { partNumber: number, etag: `etag-${number}` };
      },
      complete: async (done) => {
        const sizes = done.map(({ partNumber }) => parts.get(partNumber)?.byteLength ?? 0);
        assert.ok(
          sizes.slice(0, -1).every((size) => size === sizes[0] && size >= leastPartBytes),
          "all parts but the last are of one size, at least 5 MiB",
        );
        const whole = Buffer.concat(done.map(({ partNumber }) => parts.get(partNumber) ?? new Uint8Array()));
        this.objects.set(key, this.corrupts?.(whole) ?? new Uint8Array(whole));
      },
      abort: async () => parts.clear(),
    };
  }
}
