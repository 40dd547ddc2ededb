/**
 * Taking a snapshot of the tenant from this session, and telling what another session like it is made of.
 *
 * The registry gives a place first, so no byte is saved that nobody counts. Then the copy is stored with its deadline, and the answer
 * waits until the registry knows what became of it.
 */
import { outcomeWithin } from "../../../calls/outcome-within.ts";
import { nanosPerUnit } from "../../../domain/rules/price.ts";
import type { Held } from "../../../domain/state/lease.ts";
import { nextCalls, say } from "../../../domain/state/next-calls.ts";
import type { Session } from "../../../domain/state/session.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { CreateSession } from "../../../protocol/resources/session/sessions.ts";
import type { SnapshotView } from "../../../protocol/resources/tenant/snapshots.ts";
import type { SnapshotOrder, SnapshotReply } from "../../reports/reports.ts";
import type { SessionSecrets } from "../../records/secrets.ts";
import type { Caller, SnapshotRequest } from "../../session-api.ts";
import type { CommandContext } from "../command-context.ts";
import { notRunning, refuse, secretsUnreadable, setbackOf } from "../refusals.ts";
import { isUsable, beginUse, useIsDecided } from "../using.ts";

export class SnapshotCommands {
  readonly #context: CommandContext;
  readonly #secrets: SessionSecrets;

  constructor(context: CommandContext, secrets: SessionSecrets) {
    this.#context = context;
    this.#secrets = secrets;
  }

  async snapshot(caller: Caller, request: SnapshotRequest, waitMs: number): Promise<Reply<SnapshotView>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const refused = beginUse(this.#context, found.value);
    if (refused !== null) return refuse(refused);
    await this.#context.wait(() => useIsDecided(this.#context.state.session), waitMs);
    const { session } = this.#context.state;
    if (session === null) return this.#context.find(caller) as Reply<never>;
    const lease = session.newest;
    if (lease?.phase !== "held" || !isUsable(session)) return refuse(setbackOf(session) ?? notRunning(session));
    if (this.#context.ports.providers.get(lease.provider)?.capabilities.snapshot !== true)
      return refuse(cannotSave(lease));
    return this.#take(session, lease, request, waitMs);
  }

  /** The body for a create of a session like this one, with its env and its network rules. It never leaves Mooring. */
  async recipe(caller: Caller): Promise<Reply<CreateSession>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const { id, limits, lifecycle, profile, template, network, budget } = found.value;
    const secrets = await this.#secrets.launch(id);
    if (!secrets.ok) return refuse(secretsUnreadable);
    const { env, inject } = secrets.value;
    const seconds = (ms: number): number => Math.max(1, Math.floor(ms / 1_000));
    return {
      ok: true,
      value: {
        ...(template === undefined ? {} : { template }),
        network:
          network === undefined
            ? { mode: "open" }
            : { mode: network.mode, allow: [...network.allow], inject: [...(inject ?? [])] },
        timeout_seconds: seconds(limits.timeoutMs),
        idle_timeout_seconds: limits.idleTimeoutMs === null ? null : seconds(limits.idleTimeoutMs),
        max_lifetime_seconds: seconds(limits.maxLifetimeMs),
        on_timeout: lifecycle.onTimeout,
        on_loss: lifecycle.onLoss,
        auto_resume: profile.autoResume,
        ...(profile.publicPorts === true ? { public_ports: true } : {}),
        ...(profile.portHost === undefined ? {} : { port_host: profile.portHost }),
        ...(budget.maxNanos === null ? {} : { max_cost: budget.maxNanos / nanosPerUnit }),
        labels: { ...profile.labels },
        ...(Object.keys(env).length === 0 ? {} : { env: { ...env } }),
        ...(profile.agentType === null ? {} : { agent_type: profile.agentType }),
        ...(profile.taskId === null ? {} : { task_id: profile.taskId }),
      },
    };
  }

  async #take(session: Session, lease: Held, request: SnapshotRequest, waitMs: number): Promise<Reply<SnapshotView>> {
    const { ports } = this.#context;
    const { observeMs, snapshotMs } = ports.policy;
    const tenant = ports.tenant(session.tenant);
    const order: SnapshotOrder = {
      id: ports.ids.id(),
      sessionId: session.id,
      name: request.name,
      replaces: request.replace,
      purpose: request.purpose,
      provider: lease.provider,
      template: session.template ?? null,
      withinMs: snapshotMs,
    };
    const place = await this.#asked(() => tenant.reserveSnapshot(order));
    if (place === null) return refuse(registrySilent);
    if (!place.granted) return refuse(noPlace(place, request.name));
    const begun = this.#context.dispatch({ type: "copyRequested", snapshotId: order.id }, "client");
    if (!begun.ok || begun.value.type !== "moved") {
      const why = "The session could not begin to save it.";
      // Lost: the registry deletes what it never hears of.
      await this.#asked(() =>
        tenant.settleSnapshot(session.id, { id: order.id, outcome: "failed", why, effect: "none" }),
      );
      return begun.ok ? refuse(notRunning(session)) : begun;
    }
    await this.#context.wait(() => this.#isSettled(order.id), Math.min(waitMs, snapshotMs + 2 * observeMs));
    const view = await this.#asked(() => tenant.snapshot(order.id));
    if (view === null) return refuse(registrySilent);
    return view.failure === null ? { ok: true, value: view } : refuse(notTaken(view.failure));
  }

  #isSettled(id: string): boolean {
    const { session } = this.#context.state;
    if (session === null) return true;
    const { newest, taken } = session;
    const isCopying = newest?.phase === "held" && newest.gate.type === "copying" && newest.gate.snapshotId === id;
    return !isCopying && !taken.some((each) => each.id === id);
  }

  /** null: the registry did not answer. */
  async #asked<T>(call: () => Promise<T>): Promise<T | null> {
    const { clock, policy, logger } = this.#context.ports;
    const answer = await outcomeWithin(clock, policy.observeMs, call);
    if (answer.type === "failed")
      logger.warn("the registry did not answer about a snapshot", { error: answer.message });
    return answer.type === "answered" ? answer.value : null;
  }
}

const registrySilent: Problem = {
  code: "unavailable",
  detail:
    "The tenant's registry did not answer, so it is not known whether the snapshot was taken. GET /v1/snapshots lists those that were; one that nobody hears of again is deleted.",
};

function cannotSave({ provider }: Held): Problem {
  return {
    code: "unsupported_by_provider",
    detail: `The provider ${provider} cannot save a sandbox's files, so no snapshot can be taken of this session.`,
  };
}

function notTaken(why: string): Problem {
  return {
    code: "snapshot_failed",
    detail: `No snapshot was taken; the session runs on as it was, unless it says otherwise. ${why} ${say(nextCalls.events)} tells more.`,
  };
}

function noPlace(reply: Extract<SnapshotReply, { granted: false }>, name: string | null): Problem {
  switch (reply.of) {
    case "name":
      return {
        code: "already_exists",
        detail: `The tenant has a snapshot named ${name ?? ""} already (${reply.holder}). No other was taken. Choose another name, delete that one, or send \`replace: true\`.`,
      };
    case "snapshots":
      return {
        code: "quota_exhausted",
        detail: `The tenant may have ${reply.limit} snapshots and has ${reply.used} (TENANT_MAX_SNAPSHOTS). None was taken. DELETE /v1/snapshots/{id} frees one.`,
        ...{ limit: reply.limit, used: reply.used },
      };
    case "snapshot_bytes": {
      const [limit, used] = [Math.floor(reply.limit / 2 ** 20), Math.ceil(reply.used / 2 ** 20)];
      const detail = `What the tenant has saved may take ${limit} MiB and takes ${used} MiB (TENANT_MAX_SNAPSHOT_MIB). No snapshot was taken. DELETE /v1/snapshots/{id}, or end a paused session.`;
      return { code: "quota_exhausted", detail, limit, used };
    }
  }
}
