/**
 * The disk of a container that was just started: that of its instance type, empty but for the image, because nothing on
 * it outlives its container. A Worker cannot ask the platform for either figure, so they are constants; a test compares
 * the type with wrangler.toml. A launch measures the real disk; this is the answer before there is anything to measure.
 */
import type { Capacity } from "../../agent-sandbox.ts";

const gigabyte = 1_000_000_000;

/** Disk by `instance_type` of wrangler.toml, as Cloudflare documents it. */
const instanceDisks = {
  lite: 2 * gigabyte,
  basic: 4 * gigabyte,
  "standard-1": 8 * gigabyte,
  "standard-2": 12 * gigabyte,
  "standard-3": 16 * gigabyte,
  "standard-4": 20 * gigabyte,
} as const;

export const instanceType: keyof typeof instanceDisks = "basic";

/**
 * The image takes space on the same disk. The SDK's image with our two programs takes less than this; too high a figure
 * only promises too little.
 */
const imageBytes = 2 * gigabyte;

export const freshDisk: Capacity = {
  freeBytes: Math.max(0, instanceDisks[instanceType] - imageBytes),
  totalBytes: instanceDisks[instanceType],
};
