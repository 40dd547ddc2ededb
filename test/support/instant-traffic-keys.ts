/** Passes and proofs without cryptography, which does not wait for virtual time. */
import type { TrafficKeys } from "../../src/protocol/sandbox/traffic.ts";

export const instantTrafficKeys: TrafficKeys = {
  key: (secret) => Promise.resolve(`key of ${secret}`),
  token: (key) => Promise.resolve(`token of ${key}`),
  proof: (key, nonce) => Promise.resolve(`${key} for ${nonce}`),
};
