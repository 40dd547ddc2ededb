/** From a create request to a new session: defaults, the configured limits, and what the provider cannot do. */
import { firstGeneration, type SessionId, type TenantId } from "../domain/ids.ts";
import type { Policy } from "../domain/policy.ts";
import type { ProviderName } from "../domain/provider-names.ts";
import { startProvision, type Session } from "../domain/session.ts";
import { plannedWorkspace } from "../domain/workspace.ts";
import type { Problem } from "../protocol/problem.ts";
import type { CreateSession } from "../protocol/sessions.ts";
import { schemeOf, stepNames, type GitScheme } from "../protocol/workspace.ts";
import type { Capabilities } from "../sandbox/agent-sandbox.ts";

export interface AdmissionContext {
  readonly now: number;
  /** `created_at` and its generations begin above this, even when the clock is behind it. */
  readonly createdAfter: number;
  readonly policy: Policy;
  readonly provider: ProviderName;
  readonly capabilities: Capabilities;
  readonly gitSchemes: readonly GitScheme[];
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
  const detail = `workspace.git.url begins with ${scheme}://, which this deployment does not fetch from; it allows ${allowed.map((each) => `${each}://`).join(", ")}.`;
  return { code: "validation_failed", detail, errors: [{ pointer: "/workspace/git/url", detail: "Another scheme." }] };
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
  const source = checkSource(body.workspace?.git?.url, context.gitSchemes);
  if (source !== null) return source;
  if (body.on_timeout === "pause" && !capabilities.snapshot) {
    return {
      code: "unsupported_by_provider",
      detail: `The provider ${provider} cannot save a sandbox, so a session cannot pause there. Leave on_timeout out, or use \`kill\`.`,
      errors: [{ pointer: "/on_timeout", detail: "Only `kill` with this provider." }],
    };
  }
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
    },
    desired: { type: "running", provision: startProvision("create", now, policy.provisionMs) },
    endAt: now + timeoutMs,
    startedAt: null,
    refreshedAt: null,
    activity: { lastAt: now, activeJobs: 0, reportedAt: now },
    alive: { totalMs: 0, since: null },
    relaunches: 0,
    warnedOfPause: null,
    pauseTries: null,
    setback: null,
    workspace: plannedWorkspace(body.workspace === undefined ? [] : stepNames(body.workspace)),
    snapshot: null,
    discarded: [],
    newest: null,
    ghosts: [],
    cancellations: [],
  };
}
