import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { controllerToken, wrapperHeaders } from "../../../src/protocol/sandbox/wrapper.ts";
import { isOrphan, pidsRunning } from "../../support/processes.ts";
import { until } from "../../support/until.ts";
import { disposeInstances, removeDirectories, startInstance, type Instance } from "../../support/wrapper-instance.ts";

const megabyte = 1_000_000;
let instance: Instance;

beforeAll(async () => {
  instance = await startInstance({ max_output_bytes: 120 * megabyte });
  await instance.renew();
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

async function read(id: string, offset: number, atMost = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const away = new AbortController();
  const response = await instance.call("GET", `/jobs/${id}/output?offset=${offset}`, undefined, {
    signal: away.signal,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get(wrapperHeaders.offset)).toBe(String(offset));
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= atMost) break;
  }
  away.abort();
  return Buffer.concat(chunks);
}

/** A reader that takes nothing beyond what the kernel buffers. */
async function readerThatStops(id: string): Promise<IncomingMessage> {
  const headers = {
    authorization: `Bearer ${await controllerToken(instance.boot.secret)}`,
    [wrapperHeaders.generation]: String(instance.boot.generation),
    [wrapperHeaders.nonce]: "0".repeat(32),
  };
  return new Promise((resolve, reject) => {
    request({ port: instance.port, path: `/jobs/${id}/output?offset=0`, headers }, (response) =>
      resolve(response.pause()),
    )
      .on("error", reject)
      .end();
  });
}

function residentMegabytes(): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${instance.wrapperPid}/status`, "utf8"))?.[1] ?? 0) / 1_024;
}

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("waiting for a job", () => {
  it("[BUG-38] the wrapper answers when the job has ended, without a tail while it runs", async () => {
    await instance.start({ id: "awaited", command: "echo before; read line; echo after; exit 5", stdin_open: true });
    await instance.printed("awaited", "before");
    const early = await instance.call("GET", "/jobs/awaited?tail_bytes=100&wait_ms=1");
    expect(await early.json()).toMatchObject({ state: "running", tail_base64: "", output_bytes: 7 });
    const waiting = instance.call("GET", "/jobs/awaited?tail_bytes=100&wait_ms=30000");
    await instance.call("POST", "/jobs/awaited/stdin?end=1", "go\n");
    const detail = await (await waiting).json<{ tail_base64: string }>();
    expect(detail).toMatchObject({ state: "failed", exit_code: 5 });
    expect(atob(detail.tail_base64)).toBe("before\nafter\n");
    expect((await instance.call("GET", "/jobs/awaited?wait_ms=-1")).status).toBe(422);
  });
});

describe("reading output", () => {
  it("follows a running job, and resumes at any byte after any disconnect, with nothing lost or repeated [FEN-8]", async () => {
    await instance.start({
      id: "counting",
      command: "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); [ $((i%100)) = 0 ] && sleep 0.02; done",
    });
    const whole = Array.from({ length: 3_000 }, (_, index) => `line ${index}\n`).join("");
    let text = "";
    let connections = 0;
    // Drop the connection after some bytes, at places that split lines.
    while (text.length < whole.length) {
      text += (await read("counting", text.length, 1_237)).subarray(0, 1_237).toString();
      connections += 1;
    }
    expect(text).toBe(whole);
    expect(connections).toBeGreaterThan(20);
    expect((await read("counting", whole.length)).length).toBe(0);
    expect((await instance.call("GET", `/jobs/counting/output?offset=${whole.length + 1}`)).status).toBe(422);
    expect((await instance.call("GET", "/jobs/counting/output?offset=-1")).status).toBe(422);
  });

  it("100 MB, read by three while a fourth has stopped reading: every byte, nothing stalls, memory stays flat [FEN-8] [FEN-9]", async () => {
    const before = residentMegabytes();
    await instance.start({ id: "flood", command: `yes mooring | head -c ${100 * megabyte}` });
    const stopped = await readerThatStops("flood");
    await until("the first half", async () => (await instance.job("flood")).output_bytes >= 50 * megabyte);
    const copies = await Promise.all([read("flood", 0), read("flood", 0), read("flood", 50 * megabyte)]);
    expect(copies.map((copy) => copy.length)).toEqual([100 * megabyte, 100 * megabyte, 50 * megabyte]);
    expect(digest(copies[0] ?? Buffer.of())).toBe(digest(Buffer.alloc(100 * megabyte, "mooring\n")));
    expect(copies[0]?.equals(copies[1] ?? Buffer.of())).toBe(true);
    expect(copies[0]?.subarray(50 * megabyte).equals(copies[2] ?? Buffer.of())).toBe(true);
    expect(await instance.ended("flood")).toMatchObject({
      state: "succeeded",
      output_bytes: 100 * megabyte,
      output_truncated: false,
    });
    // Buffers in flight, not the output: far below the 100 MB that any copy would take.
    expect(residentMegabytes() - before).toBeLessThan(60);
    stopped.destroy();
    // A quarter of a gigabyte goes through the test as well: slow on a loaded machine.
  });

  it("one line of 10 MB is nothing special [FEN-9]", async () => {
    await instance.start({ id: "long-line", command: `head -c ${10 * megabyte} /dev/zero | tr '\\0' x; echo` });
    const bytes = await read("long-line", 0);
    expect(bytes.length).toBe(10 * megabyte + 1);
    expect(bytes.at(-1)).toBe(10);
    expect((await instance.job("long-line", 100)).tail).toBe(`${"x".repeat(99)}\n`);
  });

  it("a reader that goes away does not end the job, nor does one that never reads [FEN-10]", async () => {
    await instance.start({ id: "watched", command: "echo begun; read line; echo got $line", stdin_open: true });
    const stopped = await readerThatStops("watched");
    expect((await read("watched", 0, 1)).toString()).toBe("begun\n");
    const vanished = await readerThatStops("watched");
    vanished.destroy();
    expect((await instance.job("watched")).state).toBe("running");
    await instance.call("POST", "/jobs/watched/stdin?end=1", "go\n");
    expect(await instance.ended("watched")).toMatchObject({ state: "succeeded", tail: "begun\ngot go\n" });
    stopped.destroy();
  });

  it("[BUG-30] keeps the beginning and the end of an output that is too long, and says what was dropped to every reader", async () => {
    const limit = 1_048_576;
    const own = await startInstance({ max_output_bytes: limit });
    await own.renew();
    await own.start({ id: "long", command: "seq 1 1000000" });
    const whole = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => `${index + 1}\n`).join(""));
    const job = await own.ended("long");
    expect(job).toMatchObject({ state: "succeeded", output_bytes: whole.length, output_truncated: true });
    const gap = job.output_gap ?? { from: 0, to: 0 };
    expect(gap).toEqual({ from: limit / 4, to: whole.length - (limit * 3) / 4 });
    // The last 64 kB, truly.
    expect(job.tail).toBe(whole.subarray(-65_536).toString());
    expect(job.tail_offset).toBe(whole.length - 65_536);
    const answer = async (offset: number) => {
      const response = await own.call("GET", `/jobs/long/output?offset=${offset}`);
      const bytes = Buffer.from(await response.arrayBuffer());
      return { from: Number(response.headers.get(wrapperHeaders.offset)), bytes };
    };
    // One answer has no gap in it: it ends before the first byte that was dropped, and the next says where it begins.
    const head = await answer(0);
    expect(head.from).toBe(0);
    expect(head.bytes.equals(whole.subarray(0, gap.from))).toBe(true);
    const rest = await answer(gap.from);
    expect(rest.from).toBe(gap.to);
    expect(rest.bytes.equals(whole.subarray(gap.to))).toBe(true);
    await own.dispose();
  });

  it("[BUG-30] a follower that comes while the output is written is told of the gap too, and reads to the end", async () => {
    const own = await startInstance({ max_output_bytes: 1_048_576 });
    await own.renew();
    await own.start({ id: "noisy", command: "head -c 5000000 /dev/zero; read line; echo the end", stdin_open: true });
    await until("all of it", async () => (await own.job("noisy", 0)).output_bytes === 5_000_000);
    const first = await own.call("GET", "/jobs/noisy/output?offset=0");
    expect((await first.arrayBuffer()).byteLength).toBe(262_144);
    const second = await own.call("GET", "/jobs/noisy/output?offset=262144");
    expect(second.headers.get(wrapperHeaders.offset)).toBe(String(5_000_000 - 786_432));
    const rest = second.arrayBuffer();
    await own.call("POST", "/jobs/noisy/stdin?end=1", "go\n");
    expect(
      Buffer.from(await rest)
        .subarray(-8)
        .toString(),
    ).toBe("the end\n");
    await own.dispose();
  });

  it("keeps at most what it may, counts the rest, says so, and lets the job finish", async () => {
    const own = await startInstance({ max_output_bytes: 10_000 });
    await own.renew();
    await own.start({ id: "exact", command: "head -c 10000 /dev/zero" });
    expect(await own.ended("exact")).toMatchObject({ output_bytes: 10_000, output_truncated: false });
    await own.start({ id: "more", command: "head -c 5000000 /dev/zero; exit 4" });
    expect(await own.ended("more")).toMatchObject({
      state: "failed",
      exit_code: 4,
      output_bytes: 5_000_000,
      output_truncated: true,
    });
    expect((await (await own.call("GET", "/jobs/more/output")).arrayBuffer()).byteLength).toBe(10_000);
  });

  it("a job whose output nobody reads any more, because what wrote it escaped, still ends", async () => {
    // It hides from group, environment and parent, and keeps the pipe open: only a container could hold it.
    const escapes = `/bin/sleep ${9_000_000 + process.pid}`;
    const command = `(env -i setsid sh -c '${escapes} & exit' &) ; read line; echo up`;
    await instance.start({ id: "escaped", command, stdin_open: true });
    await until("it has escaped", () => isOrphan(escapes));
    try {
      await instance.call("POST", "/jobs/escaped/stdin?end=1", "go\n");
      expect(await instance.ended("escaped")).toMatchObject({ state: "succeeded", tail: "up\n" });
      expect(pidsRunning(escapes)).toHaveLength(1);
    } finally {
      for (const pid of pidsRunning(escapes)) process.kill(pid, "SIGKILL");
    }
  });
});
