/**
 * Ends a sandbox that no session looks after any more, the way a session would: retire, stop, two looks, and only then a
 * receipt. The generation is retired first, so nothing of it can start behind our back; a sandbox id serves one
 * generation, so nothing newer can be hit. Who calls it has made sure that nobody owns the target.
 */
import type { SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { Retirement } from "../../domain/state/lease.ts";
import type { Observation } from "../../domain/state/observation.ts";
import { judgeAbsence } from "../../domain/rules/proof.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import type { ProviderResult } from "../../domain/state/failure.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { TeardownView } from "../../protocol/resources/session/sessions.ts";
import type { AgentSandbox, CallBound, Target } from "../../sandbox/agent-sandbox.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";

export type Reaped =
  | { readonly proven: true; readonly receipt: TeardownView }
  /** Still there, or it could not be seen: the next audit tries again. */
  | { readonly proven: false; readonly why: string };

type ReaperPorts = Pick<AuditPorts, "clock" | "providers">;

/**
 * At one provider, or, when nobody knows which, at all of them. The proof is the recorded host's: it has to retire the
 * generation and to answer both looks. A host that never had the sandbox would prove the same, while the sandbox lives.
 */
export async function reap(
  ports: ReaperPorts,
  terms: AuditTerms,
  aim: Omit<Target, "instanceId">,
  provider: ProviderName | null,
): Promise<Reaped> {
  const target: Target = { ...aim, instanceId: null };
  if (target.host === null)
    return { proven: false, why: "no host is recorded for it, so no host can prove that it is gone" };
  const requestedAt = ports.clock.now();
  const observations: TeardownView["observations"] = [];
  let evidence = "";
  const names = provider === null ? ports.providers.wired : [provider];
  let strangers = "";
  for (const name of names) {
    const adapter = ports.providers.get(name);
    if (adapter === null) return { proven: false, why: `no adapter for provider ${name} is wired here` };
    const one = await reapAt(ports, terms, adapter, target);
    if (one.type === "stranger") {
      strangers += `${strangers === "" ? "" : "; "}${one.why}`;
      continue;
    }
    if (one.type === "unproven") return { proven: false, why: one.why };
    observations.push(...one.looks.map(lookView));
    evidence += `${evidence === "" ? "" : "; "}${one.words}`;
  }
  if (names.length === 0) return { proven: false, why: "no provider is wired here" };
  if (evidence === "") return { proven: false, why: strangers };
  const now = ports.clock.now();
  return {
    proven: true,
    receipt: {
      session_id: target.sessionId,
      generation: target.generation,
      sandbox_id: target.sandboxId,
      phase: "closed",
      reason: "orphaned",
      requested_at: rfc3339(requestedAt),
      attempts: [
        {
          attempt: 1,
          started_at: rfc3339(requestedAt),
          ended_at: rfc3339(now),
          outcome: "verified_absent",
          error: null,
        },
      ],
      observations,
      parked: false,
      next_attempt_at: null,
      verified_absent_at: observations.at(-1)?.at ?? rfc3339(now),
      asserted_absent_at: null,
      evidence,
    },
  };
}

type ProvenAt =
  | { readonly type: "proven"; readonly looks: readonly Observation[]; readonly words: string }
  | { readonly type: "unproven"; readonly why: string }
  /** Another host than the recorded one answered: it can neither prove nor disprove anything. */
  | { readonly type: "stranger"; readonly why: string };

async function reapAt(ports: ReaperPorts, terms: AuditTerms, adapter: AgentSandbox, target: Target): Promise<ProvenAt> {
  const { clock } = ports;
  const { observeMs, stopAttemptMs, stopGraceMs, absenceLookGapMs } = terms.policy;
  const retiredReply = await call(ports, observeMs, (bound) => adapter.retire(target, bound));
  if (!retiredReply.ok) return { type: "unproven", why: `not retired: ${retiredReply.why}` };
  const answered = retiredReply.value.host;
  if (answered !== target.host)
    return { type: "stranger", why: `host ${answered} answered at ${adapter.name}, and it is on host ${target.host}` };
  const retired: Retirement = { at: clock.now(), ...retiredReply.value };
  const stopped = await call(ports, stopAttemptMs, (bound) => adapter.stop(target, stopGraceMs, bound));
  // A stop that hung may still act: looks begun before it settles prove nothing, so this try is over.
  if (!stopped.ok) return { type: "unproven", why: `not stopped: ${stopped.why}` };
  const settledAt = clock.now();
  const looks: Observation[] = [];
  for (const wait of [0, absenceLookGapMs]) {
    await clock.sleep(wait);
    const look = await lookOnce(ports, adapter, target, observeMs);
    if (look === null) return { type: "unproven", why: "a look was not answered in time" };
    looks.push(look);
  }
  const absentee = { ...target, provider: adapter.name };
  const verdict = judgeAbsence(absentee, retired, looks, settledAt, terms.policy);
  if (verdict.type !== "proven") return { type: "unproven", why: verdict.why };
  // Only disk space is left to win: a failure is met again by nobody, and harms nobody.
  await call(ports, observeMs, (bound) => adapter.destroy(target, bound));
  const words = `retired at ${adapter.name} host ${retired.host}, then two looks at sandbox ${target.sandboxId} found nothing`;
  return { type: "proven", looks, words };
}

async function lookOnce(
  ports: ReaperPorts,
  adapter: AgentSandbox,
  target: Target,
  timeoutMs: number,
): Promise<Observation | null> {
  const beganAt = ports.clock.now();
  const answer = await outcomeWithin(ports.clock, timeoutMs, (bound) => adapter.observe(target, beganAt, bound));
  return answer.type === "answered" ? answer.value : null;
}

async function call<T>(
  ports: ReaperPorts,
  timeoutMs: number,
  send: (bound: CallBound) => Promise<ProviderResult<T>>,
): Promise<{ readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }> {
  const answer = await outcomeWithin(ports.clock, timeoutMs, send);
  if (answer.type === "hung") return { ok: false, why: `no answer within ${timeoutMs} ms` };
  if (answer.type === "failed") return { ok: false, why: answer.message };
  if (!answer.value.ok) return { ok: false, why: `${answer.value.failure.code}: ${answer.value.failure.message}` };
  return answer.value;
}

function lookView(look: Observation): TeardownView["observations"][number] {
  const asked = `${look.provider} host ${look.host ?? "?"} sandbox ${look.sandboxId}`;
  return { at: rfc3339(look.beganAt), asked, answer: look.answer, detail: look.detail };
}

/** Under this name control keeps the receipt of a reaping. */
export function reaperReceiptId(sessionId: SessionId, sandboxId: SandboxId): string {
  return sandboxId.startsWith(sessionId) ? sandboxId : `${sessionId}:${sandboxId}`;
}
