/**
 * Cloudflare's public prices, US dollars, Workers Paid beyond what the plan includes. Read on 2026-11-22 from its pages:
 * developers.cloudflare.com/durable-objects/platform/pricing, …/containers/pricing, …/workers/platform/pricing.
 */
export const prices = {
  readOn: "2026-11-22",
  workerRequest: 0.3e-6,
  workerCpuMs: 0.02e-6,
  /** RPC calls, fetches and alarm runs. */
  objectRequest: 0.15e-6,
  /** While an object runs or cannot hibernate; an object counts as 128 MB. */
  objectGbSecond: 12.5e-6,
  rowRead: 0.001e-6,
  /** An alarm that is set counts as one. */
  rowWritten: 1e-6,
  containerGibSecond: 2.5e-6,
  /** Of CPU that was used, not of what the instance could. */
  containerCpuSecond: 20e-6,
  containerDiskGbSecond: 0.07e-6,
} as const;

/** What an instance type is billed for while it runs, used or not; and the CPU that it can use. */
export const standard1 = { name: "standard-1", memoryGib: 4, diskGb: 8, cpus: 0.5 } as const;

/** While its container runs, the Sandbox object's own alarm keeps it resident: measured, PLATFORM facts. GB-s in an hour. */
export const sandboxObjectGbSecondsPerHour = 450;
