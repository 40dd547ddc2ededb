/**
 * What a container has that was just started: the disk of its instance type, which is empty but for the image, because nothing on it
 * outlives its container. The platform can be asked for neither figure from inside a Worker, so they are written down here; a test
 * holds the type against wrangler.toml. A launch measures what it meets: this is what is said before there is anything to measure.
 */
import type { Capacity } from "../../agent-sandbox.ts";

const gigabyte = 1_000_000_000;

/** `instance_type` of wrangler.toml, as Cloudflare documents them. */
const instanceDisks = {
  lite: 2 * gigabyte,
  basic: 4 * gigabyte,
  "standard-1": 8 * gigabyte,
  "standard-2": 12 * gigabyte,
  "standard-3": 16 * gigabyte,
  "standard-4": 20 * gigabyte,
} as const;

export const instanceType: keyof typeof instanceDisks = "basic";

/** The image counts on the same disk. The SDK's with our two programs takes less; what is too much here is only not promised. */
const imageBytes = 2 * gigabyte;

export const freshDisk: Capacity = {
  freeBytes: Math.max(0, instanceDisks[instanceType] - imageBytes),
  totalBytes: instanceDisks[instanceType],
};
