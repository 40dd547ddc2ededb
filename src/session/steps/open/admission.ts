/** From a create request to a new session: defaults, the configured limits, and what the provider cannot do. */
import { firstGeneration, type SessionId, type TenantId } from "../../../domain/state/ids.ts";
import type { Policy } from "../../../domain/rules/policy.ts";
import type { ProviderName } from "../../../domain/state/provider-names.ts";
import { noBudget, startProvision, type Session, type SnapshotRef } from "../../../domain/state/session.ts";
import { defaultTemplate } from "../../../domain/state/template.ts";
import { nanosPerUnit } from "../../../domain/rules/price.ts";
import { plannedWorkspace } from "../../../domain/state/workspace.ts";
import type { Problem } from "../../../protocol/problem.ts";
import type { SessionNetwork } from "../../../domain/state/network.ts";
import type { NetworkOrder } from "../../../protocol/resources/session/network.ts";
import type { CreateSession } from "../../../protocol/resources/session/sessions.ts";
import type { SnapshotView } from "../../../protocol/resources/tenant/snapshots.ts";
import { schemeOf, stepNames, type GitScheme } from "../../../protocol/sandbox/workspace.ts";
import type { NetworkDefault } from "../../ports.ts";
import type { Capabilities } from "../../../sandbox/agent-sandbox.ts";

export interface AdmissionContext {
  readonly now: number;
  /** `created_at` and its generations begin above this, even when the clock is behind it. */
  readonly createdAfter: number;
  readonly policy: Policy;
  readonly provider: ProviderName;
  readonly capabilities: Capabilities;
  readonly gitSchemes: readonly GitScheme[];
  /** What a session that says nothing about it may reach. */
  readonly defaultNetwork: NetworkDefault;
  /** The snapshot that it asks to begin with; null: it asks for none. */
  readonly snapshot: SnapshotView | null;
}

const seconds = (ms: number): number => Math.floor(ms / 1_000);

function outOfRange(field: string, asked: number, maxMs: number): Problem {
  const detail = `${field} is ${asked}; it must be between 1 and ${seconds(maxMs)} seconds.`;
  return { code: "validation_failed", detail, errors: [{ pointer: `/${field}`, detail: `1 to ${seconds(maxMs)}.` }] };
}

/** For `timeout` and `refresh` as well: null when it is allowed. */
export function checkSeconds(field: string, asked: number | undefined, maxMs: number): Problem | null {
  return asked !== undefined && asked * 1_000 > maxMs ? outOfRange(field, asked, maxMs) : null;
}

/** Never names the address: it may carry a credential. */
function checkSource(url: string | undefined, allowed: readonly GitScheme[]): Problem | null {
  const scheme = url === undefined ? undefined : schemeOf(url);
  if (scheme === undefined || allowed.some((each) => each === scheme)) return null;
  const schemes = allowed.map((each) => `${each}://`).join(", ");
  const detail = `workspace.git.url begins with ${scheme}://, which this deployment does not fetch from; it allows ${schemes}.`;
  return {
    code: "validation_failed",
    detail,
    errors: [{ pointer: "/workspace/git/url", detail: `Must begin with ${schemes}.` }],
  };
}

type Rules = Pick<SessionNetwork, "mode" | "allow" | "inject">;

/** What is stored in the open of rules that a client or the operator gave. */
export function storedNetwork({ mode, allow = [], inject = [] }: NetworkDefault | NetworkOrder): Rules {
  return { mode, allow: [...allow], inject: inject.map(({ host, header }) => ({ host, header })) };
}

function isOpen({ mode, inject }: Rules): boolean {
  return mode === "open" && inject.length === 0;
}

function checkTemplate(
  template: string | undefined,
  { capabilities, provider }: Pick<AdmissionContext, "capabilities" | "provider">,
): Problem | null {
  const known = capabilities.templates ?? [defaultTemplate];
  if (template === undefined || known.includes(template)) return null;
  return {
    code: "validation_failed",
    detail: `There is no template of that name with the provider ${provider}. Use one of: ${known.join(", ")}. Nothing was made.`,
    errors: [{ pointer: "/template", detail: `One of: ${known.join(", ")}.` }],
  };
}

/** null: it can begin with it, or asks for none. */
function checkSnapshot({ snapshot, provider }: Pick<AdmissionContext, "snapshot" | "provider">): Problem | null {
  if (snapshot === null || (snapshot.status === "ready" && snapshot.provider === provider)) return null;
  const why =
    snapshot.status === "ready"
      ? `It was taken with the provider ${snapshot.provider}, and new sessions are with ${provider}.`
      : `It is ${snapshot.status}.`;
  return {
    code: "snapshot_missing",
    detail: `No session can begin with the snapshot ${snapshot.id}. ${why} Nothing was made. GET /v1/snapshots lists those there are.`,
    errors: [{ pointer: "/snapshot", detail: `Must be \`ready\`, and taken with ${provider}.` }],
  };
}

function referenceTo(
  { id, session_id: source, size_bytes }: SnapshotView,
  provider: ProviderName,
  now: number,
): SnapshotRef {
  const bytes = size_bytes === null ? {} : { bytes: size_bytes };
  return { id, source: source as SessionId, provider, takenAt: now, generation: firstGeneration(0, 0), ...bytes };
}

/** null: this provider can keep these rules. */
export function checkNetwork(
  rules: Rules,
  isAsked: boolean,
  { capabilities, provider }: Pick<AdmissionContext, "capabilities" | "provider">,
): Problem | null {
  if (isOpen(rules) || capabilities.network === true) return null;
  const why = isAsked
    ? "Leave `network` out, or use `open` without `inject`."
    : "This deployment closes the network by default (NETWORK_DEFAULT): ask its operator, or send `network: {mode: open}`.";
  return {
    code: "unsupported_by_provider",
    detail: `The provider ${provider} cannot keep a sandbox from the network, so nothing was changed. ${why}`,
    errors: [
      {
        pointer: "/network",
        detail: `The provider ${provider} cannot keep a sandbox from the network: only \`open\`, without headers.`,
      },
    ],
  };
}

/** A budget that nothing counts against would be a promise that nobody keeps. */
export function checkBudget(maxCost: number | null, provider: ProviderName, policy: Policy): Problem | null {
  if (maxCost === null || policy.prices.nanosPerSecond[provider] !== undefined) return null;
  const detail = `max_cost needs a price, and this Mooring has none for the provider ${provider}: its operator sets PRICE_PER_HOUR. Leave max_cost out until then.`;
  return {
    code: "validation_failed",
    detail,
    errors: [{ pointer: "/max_cost", detail: "This provider has no price." }],
  };
}

/** Billionths, from what a client wrote in whole units. */
export function nanosOf(amount: number): number {
  return Math.round(amount * nanosPerUnit);
}

export function admit(
  id: SessionId,
  tenant: TenantId,
  body: CreateSession,
  context: AdmissionContext,
): Session | Problem {
  const { now, policy, capabilities, provider } = context;
  const createdAt = Math.max(now, context.createdAfter + 1);
  const problem =
    checkSeconds("timeout_seconds", body.timeout_seconds, policy.maxTimeoutMs) ??
    checkSeconds("idle_timeout_seconds", body.idle_timeout_seconds ?? undefined, policy.maxTimeoutMs) ??
    checkSeconds("max_lifetime_seconds", body.max_lifetime_seconds, policy.maxLifetimeMs);
  if (problem !== null) return problem;
  const unusable = checkSnapshot(context);
  if (unusable !== null) return unusable;
  // What is installed beside its files is what it was taken from, unless the client knows better.
  const template = body.template ?? context.snapshot?.template;
  const source = checkSource(body.workspace?.git?.url, context.gitSchemes);
  if (source !== null) return source;
  const unknown = checkTemplate(template, context);
  if (unknown !== null) return unknown;
  const network = storedNetwork(body.network ?? context.defaultNetwork);
  const unruled = checkNetwork(network, body.network !== undefined, context);
  if (unruled !== null) return unruled;
  if (body.on_timeout === "pause" && !capabilities.snapshot) {
    return {
      code: "unsupported_by_provider",
      detail: `The provider ${provider} cannot save a sandbox, so a session cannot pause there. Leave on_timeout out, or use \`kill\`.`,
      errors: [{ pointer: "/on_timeout", detail: "Only `kill` with this provider." }],
    };
  }
  const priced = checkBudget(body.max_cost ?? null, provider, policy);
  if (priced !== null) return priced;
  if (body.isolation === "shared" && !capabilities.shared) {
    return {
      code: "unsupported_by_provider",
      detail: `The provider ${provider} gives every session a container of its own, so none can be shared there. Leave isolation out, or use \`session\`.`,
      errors: [{ pointer: "/isolation", detail: "Only `session` with this provider." }],
    };
  }
  const timeoutMs =
    body.timeout_seconds === undefined
      ? Math.min(policy.defaultTimeoutMs, policy.maxTimeoutMs)
      : body.timeout_seconds * 1_000;
  const idleTimeoutMs =
    body.idle_timeout_seconds === undefined
      ? policy.defaultIdleTimeoutMs
      : body.idle_timeout_seconds === null
        ? null
        : body.idle_timeout_seconds * 1_000;
  return {
    id,
    tenant,
    provider,
    isolation: body.isolation ?? "session",
    ...(template === undefined || template === defaultTemplate ? {} : { template }),
    ...(isOpen(network) ? {} : { network: { ...network, version: 1, state: "applied" } }),
    createdAt,
    nextGeneration: firstGeneration(createdAt, 0),
    limits: {
      timeoutMs,
      idleTimeoutMs,
      maxLifetimeMs: body.max_lifetime_seconds === undefined ? policy.maxLifetimeMs : body.max_lifetime_seconds * 1_000,
    },
    lifecycle: {
      onTimeout: body.on_timeout ?? "kill",
      onLoss: body.on_loss ?? "hold",
    },
    profile: {
      labels: body.labels ?? {},
      agentType: body.agent_type ?? null,
      taskId: body.task_id ?? null,
      critical: body.critical ?? false,
      autoResume: body.auto_resume ?? false,
      ...(body.public_ports === true ? { publicPorts: true } : {}),
      ...(body.port_host === undefined ? {} : { portHost: body.port_host }),
    },
    desired: { type: "running", provision: startProvision("create", now, policy.provisionMs) },
    endAt: now + timeoutMs,
    startedAt: null,
    refreshedAt: null,
    activity: { lastAt: now, activeJobs: 0, reportedAt: now },
    alive: { totalMs: 0, since: null },
    relaunches: 0,
    warnedOfPause: null,
    warnedOfEnd: null,
    budget: { ...noBudget, maxNanos: body.max_cost === undefined ? null : nanosOf(body.max_cost) },
    pauseTries: null,
    setback: null,
    workspace: plannedWorkspace(body.workspace === undefined ? [] : stepNames(body.workspace)),
    snapshot: context.snapshot && referenceTo(context.snapshot, provider, now),
    discarded: [],
    forgotten: [],
    newest: null,
    ghosts: [],
    cancellations: [],
    taken: [],
    restoreProof: null,
  };
}
