/**
 * A hostile job against its own agent: it speaks to every door that it can see from inside the sandbox. The wrapper's port, a service that
 * was opened with a true pass, and every named pipe and socket of the service process get garbage, huge heads, half messages and nonsense
 * lengths. The agent must go on serving, must not grow, and must not be ended by it. The seed decides all of it: FUZZ_SEED repeats a run,
 * FUZZ_MESSAGES makes it longer than the 240 of `npm test`.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { passHeaders } from "../../support/traffic-call.ts";
import { call, json } from "../../support/service-calls.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import {
  disposeInstances,
  removeDirectories,
  startInstance,
  temporaryDirectory,
  type Instance,
} from "../../support/wrapper-instance.ts";

const seed = Number(process.env["FUZZ_SEED"] ?? 20_261_130);
const random = new SeededRandom(seed);
const messageCount = Number(process.env["FUZZ_MESSAGES"] ?? 240);

let instance: Instance;
beforeAll(async () => {
  // Temporary files of its own: the pipes of other sandboxes on this machine are not for this test.
  instance = await startInstance({ lease_ttl_ms: 600_000, env: { TMPDIR: temporaryDirectory() } });
  await instance.renew();
  await call(instance, "PUT", "/files?path=kept", { body: "kept" });
  await call(instance, "PUT", "/files?path=aimed", { body: "aimed" });
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

const methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "CONNECT", "", "G\0T", "X".repeat(300)];
// Some messages carry a true pass, and with it a DELETE does what it says: they aim at `aimed`, never at `kept`, by which `serves` looks.
const paths = [
  ...["/health", "/lease", "/jobs", "/jobs/x/output", "/drain", "/cut", "/bootstrap", "/", "", "*", "//", "/%", "/\0"],
  ...[
    "/traffic/files?path=aimed",
    "/traffic/files/list?depth=999999",
    "/traffic/files?path=%ff%00",
    "/traffic/files/watch",
  ],
  ...["/traffic/processes", "/traffic/processes/1/output", "/traffic/terminal?cols=0", "/traffic/terminal?pid=-1"],
  ...["/traffic/envd/process.Process/Start", "/traffic/envd/filesystem.Filesystem/Stat", "/traffic/envd/files"],
  ...["/traffic/ports/0/", "/traffic/ports/99999/x", "/traffic/ports/1", "/traffic/nothing", `/${"a".repeat(9_000)}`],
];

function garbage(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.int(0, 255)));
}

function strangeHeaders(): string[] {
  return Array.from({ length: random.int(0, 6) }, () =>
    random.pick([
      "content-length: 99999999999999999999",
      "content-length: -1",
      `content-length: ${random.int(0, 1_000_000)}`,
      "transfer-encoding: chunked",
      "transfer-encoding: gzip, chunked",
      "connection: upgrade",
      "upgrade: websocket",
      "expect: 100-continue",
      "sec-websocket-key: x",
      "sec-websocket-version: 99",
      "range: bytes=99999999999-1",
      "content-type: multipart/form-data; boundary=b",
      "content-type: application/connect+json",
      "content-encoding: gzip",
      "connect-timeout-ms: 1e9",
      `x-metadata-${random.text(random.int(1, 400), "abc")}: ${random.text(100, "xyz")}`,
      `cookie: ${"c".repeat(random.int(1, 90_000))}`,
      `${random.text(3, "abc")}: ${garbage(12).toString("latin1")}`,
    ]),
  );
}

function strangeBody(): Buffer {
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(random.pick([0, 1, 0x7f_ff_ff_ff, 0xff_ff_ff_ff]), 1);
  return random.pick([
    Buffer.alloc(0),
    garbage(random.int(1, 2_000)),
    Buffer.from("{".repeat(5_000)),
    Buffer.from(`{"path":${"[".repeat(2_000)}`),
    Buffer.from("ffffffffff\r\n"),
    Buffer.from("5\r\nhello\r\n0\r\n"),
    Buffer.from('--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nhalf'),
    Buffer.concat([envelope, garbage(40)]),
    Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  ]);
}

async function message(isKnown: boolean): Promise<Buffer> {
  if (random.chance(0.15)) return garbage(random.int(1, 5_000));
  const pass = isKnown
    ? Object.entries(await passHeaders(instance.boot)).map(([name, value]) => `${name}: ${value}`)
    : ["mooring-pass: 0", `mooring-generation: ${random.pick(["1", "-1", "9".repeat(400)])}`];
  const lines = [
    `${random.pick(methods)} ${random.pick(paths)} HTTP/1.1`,
    "host: x",
    ...pass,
    ...strangeHeaders(),
    "",
    "",
  ];
  const whole = Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), strangeBody()]);
  return random.chance(0.2) ? whole.subarray(0, random.int(1, whole.length)) : whole;
}

/** Resolves when the other side has answered and closed, or it said nothing more for a moment and the hostile side hangs up. */
function spoken(bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(instance.port, "127.0.0.1");
    socket.setTimeout(300, () => socket.destroy());
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.once("close", () => resolve());
    if (random.chance(0.3)) for (let at = 0; at < bytes.length; at += 700) socket.write(bytes.subarray(at, at + 700));
    else socket.write(bytes);
    if (random.chance(0.3)) socket.end();
  });
}

/** The processes of the agent: the wrapper, its guardian and its service process. Jobs and clients' processes have other roles. */
function agents(): readonly number[] {
  const mark = `MOORING_INSTANCE_ID=${instance.boot.instance_id}`;
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const isOurs = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(mark);
      return isOurs && readlinkSync(`/proc/${pid}/exe`) === process.execPath ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

function megabytesOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1_024;
}

async function serves(): Promise<void> {
  expect((await call(instance, "GET", "/files?path=kept")).body.toString()).toBe("kept");
  expect((await instance.renew()).active_jobs).toBe(0);
}

it(
  `nothing that a job sends to its agent ends it, or makes it grow (seed ${seed}) [SEC-4]`,
  { timeout: 240_000 + messageCount * 200 },
  async () => {
    await Promise.all(Array.from({ length: 40 }, async () => spoken(await message(false))));
    const before = agents();
    expect(before.length).toBeGreaterThanOrEqual(2);
    const weights = new Map(before.map((pid) => [pid, megabytesOf(pid)]));
    for (let sent = 0; sent < messageCount; sent += 24) {
      const messages = await Promise.all(Array.from({ length: 24 }, () => message(random.chance(0.6))));
      await Promise.all(messages.map(spoken));
      await serves();
    }
    // Processes that a lucky message started are ended by their own routes; none of the agent's was replaced.
    expect(agents()).toEqual(expect.arrayContaining([...before]));
    for (const [pid, weight] of weights) expect(megabytesOf(pid) - weight, `process ${pid}`).toBeLessThan(60);
  },
);

it("the doors of the service process that a job can open take garbage without harm [SEC-4]", async () => {
  const started = await call(instance, "POST", "/processes", {
    body: JSON.stringify({ command: "cat", stdin: true }),
  });
  const { pid } = json(started) as { pid: number };
  const attack = [
    // Every descriptor of every process that this user may open by name, and every named pipe on the shelf.
    "for f in /proc/[0-9]*/fd/*; do case $(readlink $f) in *mooring-pipes*|pipe:*) (head -c 3000 /dev/urandom | timeout 1 dd of=$f conv=notrunc oflag=nonblock) ;; esac; done",
    "for f in $TMPDIR/.mooring-pipes-*/*; do (head -c 3000 /dev/urandom | timeout 1 dd of=$f conv=notrunc oflag=nonblock) & done; wait",
  ];
  const inside = attack.map((line) => line.replace("/proc/[0-9]*/fd", `/proc/${pid}/fd`)).join("; ");
  await instance.start({ id: "hostile", command: `{ ${inside}; } >/dev/null 2>&1; echo over` });
  expect((await instance.ended("hostile")).tail).toContain("over");
  const after = await call(instance, "POST", "/processes", { body: JSON.stringify({ command: "exit 3" }) });
  expect(after.status).toBe(201);
  await call(instance, "DELETE", `/processes/${pid}?grace_seconds=0`);
  expect((await call(instance, "GET", "/files?path=kept")).body.toString()).toBe("kept");
});
