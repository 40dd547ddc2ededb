/**
 * What 1,000 sessions of a stated shape cost on Cloudflare, from counted calls, rows and wakes: Mooring, a design that
 * polls every sandbox each second, and one that trusts `sleepAfter`. What is assumed and not counted is named.
 */
import { prices, sandboxObjectGbSecondsPerHour, standard1 } from "./prices.ts";

/** Of one session. Counted by the measures `life` and `calls`. */
export interface Counted {
  readonly rowsWrittenPerLife: number;
  readonly rowsReadPerLife: number;
  readonly objectRequestsPerLife: number;
  readonly rowsWrittenPerRenewal: number;
  readonly rowsReadPerRenewal: number;
  readonly wakesPerRenewal: number;
}

export const shape = {
  /** Requests of its client: create, three jobs, their results, some reads. */
  requests: 12,
  workerCpuMsPerRequest: 2,
  /** Wall time of a call in an object, s. What waits for a container is billed too. */
  objectSecondsPerRequest: 0.05,
  workSeconds: 600,
  idleSeconds: 900,
  /** Of one vCPU while it works. */
  cpuShare: 0.25,
  renewSeconds: 60,
  /** Of sessions whose container nobody stops, in a design that believes instead of looking; found after a day. An assumption. */
  leakedShare: 0.01,
  leakedSeconds: 86_400,
} as const;

export interface Bill {
  readonly design: string;
  /** US dollars for 1,000 sessions. The sandbox's own object is resident while its container runs, in every design. */
  readonly lines: Readonly<Record<"containers" | "sandbox objects" | "object time" | "rows" | "requests", number>>;
  readonly total: number;
}

/** What a container costs for so long, its Sandbox object included; `cpuSeconds` are those it used. */
export function containerCost(seconds: number, cpuSeconds: number): { container: number; object: number } {
  const { memoryGib, diskGb } = standard1;
  return {
    container:
      seconds * (memoryGib * prices.containerGibSecond + diskGb * prices.containerDiskGbSecond) +
      cpuSeconds * prices.containerCpuSecond,
    object: (seconds / 3_600) * sandboxObjectGbSecondsPerHour * prices.objectGbSecond,
  };
}

const objectGb = 0.128;

export function bills(counted: Counted): readonly Bill[] {
  const alive = shape.workSeconds + shape.idleSeconds;
  const cpu = shape.workSeconds * shape.cpuShare;
  const running = containerCost(alive, cpu);
  const front = shape.requests * (prices.workerRequest + shape.workerCpuMsPerRequest * prices.workerCpuMs);
  const renewals = Math.floor(alive / shape.renewSeconds);
  const calls = counted.objectRequestsPerLife + renewals * counted.wakesPerRenewal;
  const mooring = {
    containers: running.container,
    "sandbox objects": running.object,
    "object time": calls * shape.objectSecondsPerRequest * objectGb * prices.objectGbSecond,
    rows:
      (counted.rowsWrittenPerLife + renewals * counted.rowsWrittenPerRenewal) * prices.rowWritten +
      (counted.rowsReadPerLife + renewals * counted.rowsReadPerRenewal) * prices.rowRead,
    requests: front + calls * prices.objectRequest,
  };
  // Its session object never rests, and each look is a call to the sandbox's object and a row with what was seen.
  const polling = {
    containers: running.container,
    "sandbox objects": running.object,
    "object time": alive * objectGb * prices.objectGbSecond,
    rows: (counted.rowsWrittenPerLife + alive) * prices.rowWritten + counted.rowsReadPerLife * prices.rowRead,
    requests: front + (counted.objectRequestsPerLife + 2 * alive) * prices.objectRequest,
  };
  // Nothing is written but the session itself; what leaks runs on until somebody looks.
  const leaked = containerCost(shape.leakedSeconds, 0);
  const trusting = {
    containers: running.container + shape.leakedShare * leaked.container,
    "sandbox objects": running.object + shape.leakedShare * leaked.object,
    "object time": shape.requests * shape.objectSecondsPerRequest * objectGb * prices.objectGbSecond,
    rows: 10 * prices.rowWritten,
    requests: front + shape.requests * prices.objectRequest,
  };
  return [
    bill("Mooring", mooring),
    bill("polls each second", polling),
    bill(`trusts sleepAfter, ${shape.leakedShare * 100} % leak for a day`, trusting),
  ];
}

function bill(design: string, one: Bill["lines"]): Bill {
  const lines = Object.fromEntries(
    Object.entries(one).map(([name, value]) => [name, value * 1_000]),
  ) as unknown as Bill["lines"];
  return { design, lines, total: Object.values(lines).reduce((sum, value) => sum + value, 0) };
}

/** A standard-1 container that nobody stops, US dollars a day: idle, and with its CPU busy. */
export function leakPerDay(): { readonly idle: number; readonly busy: number } {
  const day = 86_400;
  const of = (cpuSeconds: number): number => {
    const { container, object } = containerCost(day, cpuSeconds);
    return container + object;
  };
  return { idle: of(0), busy: of(day * standard1.cpus) };
}
