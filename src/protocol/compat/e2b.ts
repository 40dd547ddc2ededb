/**
 * The wire shapes of E2B's control plane, as far as Mooring serves it: requests as E2B's SDK sends them, answers as it
 * reads them. Unknown fields are ignored. Durations are whole seconds and may be zero or negative, as the SDK sends
 * them.
 */
import { z } from "zod";
import { environment, instant, plainText, portHost } from "../primitives.ts";

const seconds = z
  .int("Whole seconds.")
  .min(-2_147_483_648, "Whole seconds of 32 bits.")
  .max(2_147_483_647, "Whole seconds of 32 bits.");

/**
 * An option that Mooring does not offer. It is refused where it would change what the sandbox may do, never skipped
 * silently.
 */
const wish = z.unknown().optional();

/** Names, addresses and ranges in one list. */
const destinations = z.array(plainText(256)).max(200, "At most 200 destinations.");

/** What a sandbox may reach. */
export const e2bRules = z.object({
  allow_internet_access: z.boolean().nullish(),
  allowOut: destinations.nullish(),
  denyOut: destinations
    .nullish()
    .describe("`0.0.0.0/0`: everything but what `allowOut` names. No other destination can be denied."),
  rules: z
    .record(
      z.string(),
      z.array(
        z.object({
          transform: z
            .object({ headers: z.record(z.string(), z.string()).nullish() })
            .nullish()
            .describe("What requests for that host get on their way out."),
        }),
      ),
    )
    .nullish()
    .describe("By host name. A rule opens nothing: the host must be reachable without it."),
  egressProxy: wish.describe("Refused."),
});
export type E2bRules = z.infer<typeof e2bRules>;

const e2bNetwork = e2bRules.omit({ allow_internet_access: true }).extend({
  allowPublicTraffic: z.boolean().nullish(),
  maskRequestHost: portHost
    .nullish()
    .describe("What servers in the sandbox get as `Host`; `${PORT}` in it is the port."),
});

export const e2bNewSandbox = z.object({
  /** A template of the operator, or a snapshot of the tenant. Any other word is only kept and shown again. */
  templateID: plainText(256).min(1).optional(),
  metadata: z.record(z.string(), z.string("Metadata values are strings.")).nullish(),
  envVars: environment.nullish(),
  timeout: seconds.nullish(),
  autoPause: z.boolean().nullish(),
  autoPauseMemory: z.boolean().nullish(),
  autoResume: z.object({ enabled: z.boolean().nullish() }).nullish(),
  allow_internet_access: z.boolean().nullish(),
  network: e2bNetwork.nullish(),
  volumeMounts: wish,
  mcp: wish.describe(
    "Read and left alone: the SDK itself starts the gateway in the sandbox, and says so if it cannot.",
  ),
  iam: wish,
});
export type E2bNewSandbox = z.infer<typeof e2bNewSandbox>;

export const e2bConnect = z.object({ timeout: seconds.nullish() });
export const e2bTimeout = z.object({ timeout: seconds });
export const e2bRefresh = z.object({ duration: seconds.nullish() });
export const e2bPause = z.object({ memory: z.boolean().nullish() });

export const e2bSandbox = z.object({
  sandboxID: z.string(),
  templateID: z.string(),
  clientID: z.string(),
  /** The SDK reads it as a version and refuses old ones. The agent answers in place of envd. */
  envdVersion: z.string(),
  /** Opens the data plane of this sandbox: files, commands, terminals. Absent: the API key may not run things. */
  envdAccessToken: z.string().exactOptional(),
  trafficAccessToken: z
    .string()
    .exactOptional()
    .describe("Opens the host names of its ports, as `e2b-traffic-access-token`. Only where they are not public."),
  /** The SDK builds the host names of ports from it. Never empty: the SDK would use another company's domain. */
  domain: z.string(),
});
export type E2bSandbox = z.infer<typeof e2bSandbox>;

export const e2bNewSnapshot = z.object({ name: plainText(256).min(1).nullish() });
export const e2bSnapshot = z.object({
  snapshotID: z.string().describe("What a create takes as its `templateID`, and a delete as well."),
  names: z.array(z.string()).describe("With the team and the tag, as there; empty when it has none."),
});
export type E2bSnapshot = z.infer<typeof e2bSnapshot>;

export const e2bFork = z.object({
  count: z.int("Whole number.").min(1, "At least 1.").max(20, "At most 20.").nullish().describe("Left out: 1."),
  timeout: seconds.nullish(),
});

export const e2bState = z.enum(["running", "paused"]);
export type E2bState = z.infer<typeof e2bState>;

export const e2bListedSandbox = z.object({
  sandboxID: z.string(),
  templateID: z.string(),
  clientID: z.string(),
  envdVersion: z.string(),
  /** When the session was created: it never changes. */
  startedAt: instant,
  endAt: instant,
  state: e2bState,
  metadata: z.record(z.string(), z.string()),
  /** One core: `cpuUsedPct` counts one core as 100. */
  cpuCount: z.int(),
  /** 0: not known here. */
  memoryMB: z.int(),
  /** 0: not known here. */
  diskSizeMB: z.int(),
});
export type E2bListedSandbox = z.infer<typeof e2bListedSandbox>;

export const e2bSandboxDetail = e2bListedSandbox.extend({
  /** The SDK builds the host names of ports from it. Never empty: the SDK would use another company's domain. */
  domain: z.string(),
  lifecycle: z.object({ onTimeout: z.enum(["kill", "pause"]), autoResume: z.boolean() }),
});
export type E2bSandboxDetail = z.infer<typeof e2bSandboxDetail>;

export const e2bMetric = z.object({
  timestamp: instant,
  /** Epoch seconds. */
  timestampUnix: z.int(),
  cpuCount: z.int(),
  cpuUsedPct: z.number(),
  /** Bytes. */
  memUsed: z.int(),
  /** 0: not known here. */
  memTotal: z.int(),
  memCache: z.int(),
  /** Bytes; 0 where the provider cannot measure it. */
  diskUsed: z.int(),
  /** 0: not known here. */
  diskTotal: z.int(),
});
export type E2bMetric = z.infer<typeof e2bMetric>;

export const e2bError = z.object({
  /** The HTTP status again, because the SDK reads it from the body. */
  code: z.int(),
  message: z.string(),
  /** Mooring's own problem code. */
  error_code: z.string(),
});
export type E2bError = z.infer<typeof e2bError>;

export const e2bForkResult = z.object({
  sandbox: e2bSandbox.optional().describe("The fork, when it was made."),
  error: e2bError.optional().describe("Why it was not, when it was not."),
});
