/**
 * Lives on real processes of the local host: how long from create to the receipt, beside the bare wrapper spawned, healthy
 * and killed; and how fast what a job has said comes out.
 */
import { spawn } from "node:child_process";
import type { BenchClient } from "../client.ts";
import { type Measure, median } from "../figure.ts";
import { until } from "../../support/until.ts";
import { processesOf, disposeInstances, removeDirectories, startInstance } from "../../support/wrapper-instance.ts";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import { withLocalHost } from "./local-host.ts";

const times = 12;

export const localLife: Measure = {
  name: "local-life",
  async run(say) {
    return withLocalHost(async (client) => {
      const bare: number[] = [];
      const lives: number[] = [];
      for (let index = 0; index < times; index += 1) {
        bare.push(await bareLife());
        const began = performance.now();
        const session = await client.create();
        await client.call("DELETE", `/v1/sessions/${session.id}`);
        await client.receipt(session.id);
        lives.push(performance.now() - began);
        say(`${index + 1} of ${times}: ${lives.at(-1)?.toFixed(0)} ms, bare ${bare.at(-1)?.toFixed(0)} ms`);
      }
      await disposeInstances();
      removeDirectories();
      const looks = defaultPolicy.absenceLookGapMs;
      return [
        {
          id: "local.life",
          what: "create → running → delete → receipt on real processes, without the gap between the two looks",
          against: "bare spawn + health + kill of the same wrapper",
          value: (median(lives) - looks) / median(bare),
          unit: "×",
          bar: { type: "at most", value: 1.3 },
          details: { times, life_p50_ms: median(lives), bare_p50_ms: median(bare), gap_ms: looks },
        },
      ];
    });
  },
};

async function bareLife(): Promise<number> {
  const began = performance.now();
  const instance = await startInstance();
  await instance.renew();
  for (const { pid } of instance.processes()) process.kill(pid, "SIGTERM");
  await until("the processes are gone", () => processesOf(instance.boot.instance_id).length === 0);
  return performance.now() - began;
}

/** Of one job: at most 64 MB of its output are kept. Two make 100 MB. */
const jobBytes = 50 * 1_024 * 1_024;
const jobsARound = 2;

export const output: Measure = {
  name: "output",
  async run(say) {
    return withLocalHost(async (client, workerd) => {
      const session = await client.create();
      const rounds: { readonly plain: number; readonly streamed: number }[] = [];
      const before = workerd.residentBytes();
      let most = before;
      const watch = setInterval(() => (most = Math.max(most, workerd.residentBytes())), 20);
      try {
        for (let round = 0; round < 3; round += 1) {
          const plain: number[] = [];
          const streamed: number[] = [];
          for (let job = 0; job < jobsARound; job += 1) {
            plain.push(await plainPipe());
            streamed.push(await jobOutput(client, session.id, `out-${round}-${job}`));
          }
          // Seconds for 100 MB, told as a speed.
          rounds.push({ plain: harmonic(plain), streamed: harmonic(streamed) });
          const last = rounds.at(-1);
          say(`round ${round + 1}: ${last?.streamed.toFixed(0)} MB/s, a plain pipe ${last?.plain.toFixed(0)} MB/s`);
        }
      } finally {
        clearInterval(watch);
      }
      const details = {
        streamed_mb_per_second: median(rounds.map(({ streamed }) => streamed)),
        plain_mb_per_second: median(rounds.map(({ plain }) => plain)),
      };
      return [
        {
          id: "output.throughput",
          what: "100 MB of job output through wrapper → object → client",
          against: "a plain pipe over loopback HTTP",
          value: median(rounds.map(({ plain, streamed }) => streamed / plain)),
          unit: "×",
          bar: { type: "at least", value: 0.9 },
          details,
        },
        {
          id: "output.memory",
          what: "memory that workerd gains meanwhile",
          against: "the 100 MB that pass",
          value: (most - before) / 1e6,
          unit: "MB",
          bar: { type: "at most", value: 40 },
          details: { before_mb: before / 1e6, most_mb: most / 1e6 },
        },
      ];
    });
  },
};

/** The speed over equal parts. */
function harmonic(speeds: readonly number[]): number {
  return speeds.length / speeds.reduce((sum, speed) => sum + 1 / speed, 0);
}

/** MB/s. The job has ended before: what is measured is the way of its bytes, not how fast it makes them. */
async function jobOutput(client: BenchClient, session: string, id: string): Promise<number> {
  await client.call("POST", `/v1/sessions/${session}/jobs`, { id, command: `head -c ${jobBytes} /dev/zero` });
  const job = await client.call<{ readonly state: string }>("GET", `/v1/sessions/${session}/jobs/${id}`, undefined, 30);
  if (job.state !== "succeeded") throw new Error(`the job is ${job.state}`);
  return received(`${client.url}/v1/sessions/${session}/jobs/${id}/output`, {
    ...client.headers,
    accept: "application/octet-stream",
  });
}

async function received(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const began = performance.now();
  const reply = await fetch(url, { headers });
  if (!reply.ok || reply.body === null) throw new Error(`${url} was answered ${reply.status}`);
  let bytes = 0;
  for await (const chunk of reply.body) bytes += chunk.length;
  if (bytes !== jobBytes) throw new Error(`${bytes} of ${jobBytes} bytes came`);
  return jobBytes / 1e6 / ((performance.now() - began) / 1_000);
}

/** `head` piped into the answer of a server that is a process of its own, as the wrapper is. */
async function plainPipe(): Promise<number> {
  const server = spawn(
    process.execPath,
    [
      "-e",
      `require("http").createServer((_, reply) =>
         require("child_process").spawn("head", ["-c", "${jobBytes}", "/dev/zero"]).stdout.pipe(reply)
       ).listen(0, "127.0.0.1", function () { console.log(this.address().port) })`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    const port = await new Promise<string>((resolve) =>
      server.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString().trim())),
    );
    return await received(`http://127.0.0.1:${port}/`, {});
  } finally {
    server.kill("SIGKILL");
  }
}
