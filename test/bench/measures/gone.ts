/**
 * Time to gone and deadline slip, as docs/benchmarks.md describes them: until the operating system shows nothing of the sandbox any
 * more, from the moment at which a delete is sent, or from the end that was promised. What Mooring says about it stands beside it.
 */
import { setTimeout as pause } from "node:timers/promises";
import { defaultPolicy } from "../../../src/domain/rules/policy.ts";
import type { BenchClient } from "../client.ts";
import { type Figure, type Measure, median, quantile } from "../figure.ts";
import { allPids, environmentOf, isAlive } from "../../support/processes.ts";
import { withLocalHost } from "./local-host.ts";

const lookEveryMs = 20;
/** Not gone by then counts as this long. */
const longestMs = 600_000;

export const gone: Measure = {
  name: "gone",
  async run(say, size) {
    const [oneByOne, atOnce] = size === "small" ? [2, 5] : [50, 50];
    return withLocalHost(async (client) => {
      const alone: number[] = [];
      for (let index = 0; index < oneByOne; index += 1) {
        alone.push(...(await timesToGone(client, [await used(client)])));
        if ((index + 1) % 10 === 0) say(`${index + 1} of ${oneByOne}: ${alone.at(-1)?.toFixed(0)} ms`);
      }
      const ids = await running(client, atOnce);
      say(`${ids.length} run, and are deleted at once`);
      const together = await timesToGone(client, ids);
      return [
        figure("gone.one", `delete → nothing of it in /proc, ${oneByOne} one after the other: p95`, alone),
        figure("gone.many", `delete → nothing of it in /proc, ${atOnce} at once: p95`, together),
      ];
    });
  },
};

function figure(id: string, what: string, times: readonly number[]): Figure {
  return {
    ...{ id, what, against: "—", value: quantile(times, 0.95) / 1_000, unit: "s" },
    bar: { type: "at most", value: 2.5 },
    details: { runs: times.length, p50_s: median(times) / 1_000, max_s: Math.max(...times) / 1_000 },
  };
}

export const reclaim: Measure = {
  name: "reclaim",
  async run(say, size) {
    const crowd = size === "small" ? 5 : 50;
    return withLocalHost(async (client) => {
      const ids = await running(client, crowd);
      // The same second for all, far enough that all are told before.
      const endAt = Math.ceil(Date.now() / 1_000) * 1_000 + 10_000;
      const ends = await Promise.all(
        ids.map((id) =>
          client.call<{ readonly end_at: string }>("POST", `/v1/sessions/${id}/timeout`, {
            timeout_seconds: Math.max(1, Math.round((endAt - Date.now()) / 1_000)),
          }),
        ),
      );
      say(`${crowd} run, and end in ${Math.round((endAt - Date.now()) / 1_000)} s`);
      // No request from here on: one may wake what should wake by itself.
      const goneAt = await instantsOfGone(ids);
      const promised = ends.map(({ end_at }) => Date.parse(end_at));
      const slips = goneAt.map((at, index) => at - (promised[index] ?? 0));
      const proofs: number[] = [];
      for (const [index, id] of ids.entries()) {
        const receipt = await client.receipt(id, 180_000);
        proofs.push(Date.parse(receipt.verified_absent_at ?? "") - (promised[index] ?? 0));
      }
      const grace = defaultPolicy.stopGraceMs / 1_000;
      const details = (times: readonly number[]) => ({
        ...{ p50_s: median(times) / 1_000, min_s: Math.min(...times) / 1_000, max_s: Math.max(...times) / 1_000 },
      });
      return [
        {
          id: "reclaim.slip",
          what: `end_at → nothing of it in /proc, ${crowd} sessions at once: p95`,
          against: "—",
          value: quantile(slips, 0.95) / 1_000,
          unit: "s",
          bar: { type: "at most", value: 2 },
          details: details(slips),
        },
        {
          id: "reclaim.p95",
          what: `end_at → verified absent, ${crowd} sessions at once: p95`,
          against: `stop grace (${grace} s) + 3 s`,
          value: quantile(proofs, 0.95) / 1_000,
          unit: "s",
          bar: { type: "at most", value: grace + 3 },
          details: details(proofs),
        },
      ];
    });
  },
};

/** So many sessions, five started at a time. */
async function running(client: BenchClient, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  while (ids.length < count)
    ids.push(...(await Promise.all(Array.from({ length: Math.min(5, count - ids.length) }, () => used(client)))));
  return ids;
}

/** A session in which a command has ended. */
async function used(client: BenchClient): Promise<string> {
  const { id } = await client.create({ idle_timeout_seconds: null });
  await client.job(id, "true");
  if (!alive().has(id))
    throw new Error(`${id} runs, and nothing of it is seen in /proc: the look would find it gone at once`);
  return id;
}

/** ms of each. The delete's own answer is not waited for. */
async function timesToGone(client: BenchClient, ids: readonly string[]): Promise<readonly number[]> {
  const began = Date.now();
  const answers = ids.map((id) => client.call("DELETE", `/v1/sessions/${id}`));
  const goneAt = await instantsOfGone(ids);
  await Promise.all(answers);
  return goneAt.map((at) => at - began);
}

/** Of each, the look that first found nothing, epoch ms. */
async function instantsOfGone(ids: readonly string[]): Promise<readonly number[]> {
  const until = Date.now() + longestMs;
  const found = new Map<string, number>();
  /** A process of each that was seen: as long as it lives, nobody has to look through all of them, which would slow down what is measured. */
  let known = alive();
  while (found.size < ids.length && Date.now() < until) {
    const left = ids.filter((id) => !found.has(id));
    const unseen = (id: string) => sessionOf(known.get(id) ?? -1) !== id;
    if (left.some(unseen)) known = alive();
    for (const id of left) if (!known.has(id)) found.set(id, Date.now());
    await pause(lookEveryMs);
  }
  return ids.map((id) => found.get(id) ?? until);
}

/** Of each session that a live process says it is of, the pid of one. */
function alive(): ReadonlyMap<string, number> {
  return new Map(
    allPids().flatMap((pid) => {
      const session = sessionOf(pid);
      return session === null ? [] : [[session, pid]];
    }),
  );
}

/** null: it does not live, or is of no session. */
function sessionOf(pid: number): string | null {
  const entry = isAlive(pid) ? environmentOf(pid).find((each) => each.startsWith(sessionEntry)) : undefined;
  return entry === undefined ? null : entry.slice(sessionEntry.length);
}

const sessionEntry = "MOORING_SESSION_ID=";
