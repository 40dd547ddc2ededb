/**
 * The canary: once a day, where the operator allows it (CANARY), the deployment plants one orphan of its own, a sandbox that no
 * session and no registry knows, and measures how long it lives. Nothing here ends it before its time: the hourly audit has to find it
 * in the provider's list; where a provider cannot list, its own fence has to end it. What is found too late is an alert, and only then
 * is it ended from here (docs/decisions/0041).
 *
 * It is stored before it is launched, so a tick that dies leaves nothing unknown, and its lease ends it whatever else fails.
 */
import { type Generation, type InstanceId, isolatedSandboxId, type SessionId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts, AuditTerms } from "../audits/audit-ports.ts";
import { absentAtHost, observeEverywhere } from "../audits/make-plan.ts";
import { reap, reaperReceiptId } from "../audits/reaper.ts";
import { type CanaryState, parseCanary, type PlantedCanary } from "../../domain/probes/canary.ts";

const minute = 60_000;
/** From one planting to the next; ticks are never exactly five minutes apart. */
const everyMs = 24 * 60 * minute - 5 * minute;
/** The end is seen at a tick, and a tick may be late or left out. */
const tickSlackMs = 15 * minute;
/** A canary this long overdue is ended from here. */
const giveUpMs = 60 * minute;

export interface CanaryTerms {
  /** CANARY is `daily`. When it is off, one that is out is still looked after. */
  readonly on: boolean;
  /** Where new sessions go. */
  readonly provider: ProviderName;
  readonly audit: AuditTerms;
  /** How often the audit runs. */
  readonly auditEveryMs: number;
}

type CanaryPorts = Pick<AuditPorts, "control" | "providers" | "clock" | "ids" | "logger" | "digest">;

/** One look, at every tick. It may throw; the tick logs it. */
export async function tendCanary(ports: CanaryPorts, terms: CanaryTerms): Promise<void> {
  const state = parseCanary((await ports.control.document("probe", "canary"))?.body);
  if (state.planted !== null) return await look(ports, terms, state, state.planted);
  if (!terms.on || ports.clock.now() - (state.last?.plantedAt ?? 0) < everyMs) return;
  await plant(ports, terms, state);
}

async function plant(ports: CanaryPorts, terms: CanaryTerms, state: CanaryState): Promise<void> {
  const adapter = ports.providers.get(terms.provider);
  if (adapter === null) return;
  const { policy, graceMs } = terms.audit;
  const now = ports.clock.now();
  const sessionId = ports.ids.id() as SessionId;
  const generation = now as Generation;
  const sandboxId = isolatedSandboxId(sessionId, generation);
  const by: PlantedCanary["by"] = adapter.capabilities.enumerate ? "audit" : "itself";
  const ownEndMs = policy.launchCallMs + policy.readyWaitMs + policy.leaseTtlMs + policy.stopGraceMs;
  const dueAt = now + tickSlackMs + (by === "audit" ? graceMs + 2 * terms.auditEveryMs : ownEndMs);
  const planted: PlantedCanary = {
    ...{ plantedAt: now, provider: terms.provider, sessionId, sandboxId, generation, host: null, by, dueAt },
  };
  await put(ports, { ...state, planted });
  const secret = await ports.digest(`${ports.ids.id()}${ports.ids.id()}`);
  const answer = await outcomeWithin(ports.clock, policy.launchCallMs, (bound) =>
    adapter.launch(
      {
        ...{ sessionId, sandboxId, generation, instanceId: `i-${sandboxId}` as InstanceId },
        // The canary is never renewed, so the secret is not kept.
        secret,
        launchNotAfter: now + policy.launchCallMs,
        // Where the audit is measured, the fence must not come before it. It still ends the canary if all else fails.
        leaseTtlMs: by === "audit" ? dueAt + 2 * giveUpMs - now : policy.leaseTtlMs,
        jobGraceMs: policy.jobGraceMs,
        stopGraceMs: policy.stopGraceMs,
        env: { MOORING_CANARY: "1" },
      },
      bound,
    ),
  );
  if (answer.type === "answered" && answer.value.ok) {
    const { host } = answer.value.value;
    await put(ports, { ...state, planted: { ...planted, host } });
    ports.logger.info("canary planted", { sandbox: sandboxId, provider: terms.provider, ended_by: by });
    return;
  }
  const why =
    answer.type === "answered" ? (answer.value.ok ? "" : answer.value.failure.message) : `no answer (${answer.type})`;
  ports.logger.warn("canary not planted", { sandbox: sandboxId, provider: terms.provider, error: why.slice(0, 300) });
  // With effect `none` nothing was started, and the next tick tries again. Otherwise it may exist and is looked for until its time is over.
  const nothing = answer.type === "answered" && !answer.value.ok && answer.value.failure.effect === "none";
  if (nothing) await put(ports, { ...state, planted: null });
}

async function look(ports: CanaryPorts, terms: CanaryTerms, state: CanaryState, planted: PlantedCanary): Promise<void> {
  const { sessionId, sandboxId, generation, host, provider, plantedAt, dueAt } = planted;
  const settle = async (endedAt: number, by: "audit" | "itself" | "nobody") => {
    const seconds = Math.round((endedAt - plantedAt) / 1_000);
    const fields = { sandbox: sandboxId, provider, seconds, ended_by: by };
    if (by === "nobody") ports.logger.error("canary was not found in time", fields);
    else ports.logger.info("canary found and ended", fields);
    await put(ports, { planted: null, last: { plantedAt, endedAt, by } });
  };
  const receipt = await ports.control.document("reaper_receipt", reaperReceiptId(sessionId, sandboxId));
  if (receipt !== null) return await settle(receipt.at, "audit");
  const now = ports.clock.now();
  const target = { sessionId, sandboxId, generation, instanceId: null, host };
  const gone = absentAtHost(await observeEverywhere(ports, terms.audit, target, provider), host);
  const givenUp = now >= dueAt + giveUpMs;
  if (!gone && !givenUp) return;
  if (host === null) {
    // Its launch was never answered and nobody found it: by now its own fence has ended whatever there was.
    ports.logger.warn("canary was never seen", { sandbox: sandboxId, provider });
    return await put(ports, { ...state, planted: null });
  }
  // For the proof as well: two looks after the generation was retired, and what is left on its disk.
  const reaped = await reap(ports, terms.audit, { sessionId, sandboxId, generation, host }, provider);
  if (!reaped.proven) return ports.logger.warn("canary not proven gone", { sandbox: sandboxId, why: reaped.why });
  await settle(now, gone && now <= dueAt ? "itself" : "nobody");
}

async function put(ports: CanaryPorts, state: CanaryState): Promise<void> {
  await ports.control.putDocument({ kind: "probe", id: "canary", body: JSON.stringify(state) });
}
