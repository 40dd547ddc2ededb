import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OutputSpool } from "../../../wrapper/agent/jobs/output-spool.ts";
import { outputLimits, OutputStore } from "../../../wrapper/agent/jobs/output-store.ts";

const kilobyte = 1_024;
let directory: string;
let made = 0;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mooring-spool-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Made {
  readonly spool: OutputSpool;
  readonly path: string;
}

async function make(store: OutputStore): Promise<Made> {
  made += 1;
  const path = join(directory, String(made));
  return { spool: await store.create(path), path };
}

/** Repeats after 64 kB, so that a byte tells its place within the last 64 kB. */
const period = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 31 + (index >> 8)) & 255));

function bytesAt(offset: number, length: number): Buffer {
  const start = offset % period.length;
  return Buffer.alloc(length, Buffer.concat([period.subarray(start), period.subarray(0, start)]));
}

async function write(spool: OutputSpool, total: number, chunk = 10_007): Promise<void> {
  for (let offset = 0; offset < total; offset += chunk)
    await spool.append(bytesAt(offset, Math.min(chunk, total - offset)));
}

/** All that can be read, as segments without a gap. */
async function readAll(spool: OutputSpool): Promise<readonly { from: number; length: number }[]> {
  const segments: { from: number; length: number }[] = [];
  const never = new AbortController().signal;
  for (let next = 0; next < spool.totalBytes;) {
    const from = spool.startOf(next) ?? 0;
    let length = 0;
    for await (const bytes of spool.follow(from, never)) {
      expect(bytes.equals(bytesAt(from + length, bytes.length))).toBe(true);
      length += bytes.length;
    }
    segments.push({ from, length });
    next = from + length;
  }
  return segments;
}

const store = (spoolBytes: number, poolBytes = 2 * spoolBytes, floorBytes = 0): OutputStore =>
  new OutputStore({ spoolBytes, floorBytes, poolBytes });

describe("an output that is longer than what may be kept", () => {
  const limit = 400 * kilobyte;
  const head = 100 * kilobyte;

  it("[BUG-30] loses its middle: the first quarter and the newest bytes are kept, however it is cut into chunks", async () => {
    for (const [total, chunk] of [
      [limit, 10_007],
      [limit + 1, 10_007],
      [3 * limit + 12_345, 1_000],
      [7 * limit + 77, 65_536],
      [2 * limit, 3 * limit],
    ] as const) {
      const { spool, path } = await make(store(limit));
      await write(spool, total, chunk);
      await spool.close();
      const tailFrom = total - (limit - head);
      const gap = total > limit ? { from: head, to: tailFrom } : null;
      expect(spool.gap, `${total}`).toEqual(gap);
      expect(await readAll(spool)).toEqual(
        gap === null
          ? [{ from: 0, length: total }]
          : [
              { from: 0, length: head },
              { from: tailFrom, length: total - tailFrom },
            ],
      );
      const tail = await spool.tail(64 * kilobyte);
      expect(tail.offset).toBe(total - 64 * kilobyte);
      expect(tail.bytes.equals(bytesAt(tail.offset, 64 * kilobyte))).toBe(true);
      expect(statSync(path).size).toBeLessThanOrEqual(limit);
    }
  });

  it("[BUG-30] a tail is never more than what is kept without a gap", async () => {
    const { spool } = await make(store(limit));
    await write(spool, 2 * limit);
    const { offset, bytes } = await spool.tail(10 * limit);
    expect([offset, bytes.length]).toEqual([2 * limit - 300 * kilobyte, 300 * kilobyte]);
    await spool.close();
  });

  it("[BUG-30] a small limit keeps the end, not the beginning", async () => {
    const { spool } = await make(store(1_000));
    await write(spool, 5_000, 333);
    await spool.close();
    expect(await readAll(spool)).toEqual([{ from: 4_000, length: 1_000 }]);
  });

  it("[BUG-30] a reader that is overtaken ends at the gap instead of passing on newer bytes as older ones", async () => {
    const { spool } = await make(store(limit));
    await write(spool, limit + 10);
    const reader = spool.follow(spool.gap?.to ?? 0, new AbortController().signal);
    const first = await reader.next();
    expect(first.done).toBe(false);
    for (let offset = limit + 10; offset < 3 * limit; offset += 10_000) await spool.append(bytesAt(offset, 10_000));
    expect(await reader.next()).toMatchObject({ done: true });
    await spool.close();
  });

  it("an offset past the end is none, one in the gap begins behind it", async () => {
    const { spool } = await make(store(limit));
    await write(spool, 2 * limit);
    expect(spool.startOf(2 * limit + 1)).toBeNull();
    expect(spool.startOf(2 * limit)).toBe(2 * limit);
    expect(spool.startOf(head)).toBe(spool.gap?.to);
    expect(spool.startOf(head - 1)).toBe(head - 1);
    await spool.close();
  });
});

describe("the outputs of one sandbox", () => {
  it("[BUG-39] share one budget: a thousand outputs take what two large ones and a thousand ends take", async () => {
    const limit = 1_024 * kilobyte;
    const limits = outputLimits(limit);
    const all = new OutputStore(limits);
    const spools: Made[] = [];
    for (let index = 0; index < 40; index += 1) {
      const one = await make(all);
      await write(one.spool, 700 * kilobyte, 65_536);
      await one.spool.close();
      spools.push(one);
      expect(all.pooledBytes).toBeLessThanOrEqual(limits.poolBytes);
    }
    const onDisk = spools.reduce((sum, { path }) => sum + statSync(path).size, 0);
    expect(onDisk).toBeLessThanOrEqual(limits.poolBytes + spools.length * limits.floorBytes);
    // The oldest have kept their ends.
    for (const { spool } of spools) {
      const { offset, bytes } = await spool.tail(64 * kilobyte);
      expect(bytes.equals(bytesAt(700 * kilobyte - 64 * kilobyte, 64 * kilobyte))).toBe(true);
      expect(offset).toBe(700 * kilobyte - 64 * kilobyte);
    }
    expect(spools[0]?.spool.gap).toEqual({ from: 0, to: 636 * kilobyte });
    expect(spools.at(-1)?.spool.gap).toBeNull();
    for (const { spool } of spools) spool.remove();
    expect(all.pooledBytes).toBe(0);
  });

  it("[BUG-39] what runs is never cut short for another: it stops growing and keeps its end", async () => {
    const all = store(1_000 * kilobyte, 500 * kilobyte, 100 * kilobyte);
    const first = await make(all);
    const second = await make(all);
    await write(first.spool, 600 * kilobyte);
    await write(second.spool, 600 * kilobyte);
    expect(first.spool.gap).toBeNull();
    const gap = second.spool.gap;
    expect(gap?.from).toBeGreaterThan(0);
    expect(statSync(second.path).size).toBeLessThanOrEqual(100 * kilobyte);
    await first.spool.close();
    // Now the first may give: a third finds room.
    const third = await make(all);
    await write(third.spool, 400 * kilobyte);
    expect(third.spool.gap).toBeNull();
    expect((await readAll(first.spool)).at(-1)).toEqual({ from: 536 * kilobyte, length: 64 * kilobyte });
    await second.spool.close();
    await third.spool.close();
  });

  it("[BUG-39] an output that somebody reads is left alone", async () => {
    const all = store(1_000 * kilobyte, 500 * kilobyte, 0);
    const read = await make(all);
    await write(read.spool, 400 * kilobyte);
    await read.spool.close();
    const reader = read.spool.follow(0, new AbortController().signal);
    await reader.next();
    const other = await make(all);
    await write(other.spool, 400 * kilobyte);
    expect(read.spool.gap).toBeNull();
    await reader.return(undefined);
    expect(await readAll(read.spool)).toEqual([{ from: 0, length: 400 * kilobyte }]);
    await other.spool.close();
  });
});
