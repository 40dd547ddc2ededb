/** What the measures of traffic work on: one session on real processes, and how much is measured. */
import type { BareWorkerd } from "../bare-workerd.ts";
import type { BenchClient } from "../client.ts";
import type { Size } from "../figure.ts";

/** Bytes of the file, how often each is measured, how many streams are open at once. */
export const trafficSizes = {
  full: { bytes: 1e9, rounds: 3, times: 40, streams: 200, listenMs: 10_000 },
  small: { bytes: 5e7, rounds: 1, times: 10, streams: 50, listenMs: 3_000 },
} as const;

export interface TrafficWorld {
  readonly client: BenchClient;
  readonly workerd: BareWorkerd;
  readonly session: string;
  readonly terms: (typeof trafficSizes)[Size];
  readonly say: (text: string) => void;
}
