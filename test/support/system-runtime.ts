/** The real clock and real randomness, for tests that drive real processes. */
import { randomBytes } from "node:crypto";
import type { Clock, Ids } from "../../src/runtime/clock-ids-logger.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};

const letters = "0123456789abcdefghijklmnopqrstuvwxyz";

export const systemIds: Ids = {
  id: () => Array.from(randomBytes(20), (byte) => letters[byte % letters.length]).join(""),
  secret: () => randomBytes(32).toString("hex"),
  random: () => Math.random(),
};

/** The control plane that the tests' own adapters speak for, on hosts that belong to no other. */
export const testControlPlane = async (): Promise<string> => "cp_tests";
