/**
 * Ends a sandbox that no session looks after any more, the way a session would: retire, stop, two looks, and only then a
 * receipt (I3). The generation is retired first, so nothing of it can start behind our back; a sandbox id serves one
 * generation, so nothing newer can be hit (I6). Who calls it has made sure that nobody owns the target.
 */
import type { SandboxId, SessionId } from "../../domain/ids.ts";
import type { Retirement } from "../../domain/lease.ts";
import type { Observation } from "../../domain/observation.ts";
import { judgeAbsence } from "../../domain/proof.ts";
import type { ProviderName } from "../../domain/provider-names.ts";
import type { ProviderResult } from "../../domain/failure.ts";
import { rfc3339 } from "../../protocol/primitives.ts";
import type { TeardownView } from "../../protocol/sessions.ts";
import type { AgentSandbox, CallBound, Target } from "../../sandbox/agent-sandbox.ts";
import { boundedCall } from "../bounded-call.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";

export type Reaped =
  | { readonly proven: true; readonly receipt: TeardownView }
  /** Still there, or it could not be seen: the next audit tries again. */
  | { readonly proven: false; readonly why: string };

type ReaperPorts = Pick<AuditPorts, "clock" | "providers">;

/** At one provider, or, when nobody knows which, at all of them: each has to prove it. */
export async function reap(
  ports: ReaperPorts,
  terms: AuditTerms,
  aim: Omit<Target, "instanceId" | "host">,
  provider: ProviderName | null,
): Promise<Reaped> {
  const target: Target = { ...aim, instanceId: null, host: null };
  const requestedAt = ports.clock.now();
  const observations: TeardownView["observations"] = [];
  let evidence = "";
  const names = provider === null ? ports.providers.wired : [provider];
  for (const name of names) {
    const adapter = ports.providers.get(name);
    if (adapter === null) return { proven: false, why: `no adapter for provider ${name} is wired here` };
    const one = await reapAt(ports, terms, adapter, target);
    if (!one.proven) return one;
    observations.push(...one.looks.map(lookView));
    evidence += `${evidence === "" ? "" : "; "}${one.words}`;
  }
  if (names.length === 0) return { proven: false, why: "no provider is wired here" };
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
  | { readonly proven: true; readonly looks: readonly Observation[]; readonly words: string }
  | { readonly proven: false; readonly why: string };

async function reapAt(ports: ReaperPorts, terms: AuditTerms, adapter: AgentSandbox, target: Target): Promise<ProvenAt> {
  const { clock } = ports;
  const { observeMs, stopAttemptMs, stopGraceMs, absenceLookGapMs } = terms.policy;
  const retiredReply = await call(ports, observeMs, (bound) => adapter.retire(target, bound));
  if (!retiredReply.ok) return { proven: false, why: `not retired: ${retiredReply.why}` };
  const retired: Retirement = { at: clock.now(), ...retiredReply.value };
  const stopped = await call(ports, stopAttemptMs, (bound) => adapter.stop(target, stopGraceMs, bound));
  // A stop that hung may still act: looks begun before it settles prove nothing, so this try is over.
  if (!stopped.ok) return { proven: false, why: `not stopped: ${stopped.why}` };
  const settledAt = clock.now();
  const looks: Observation[] = [];
  for (const wait of [0, absenceLookGapMs]) {
    await clock.sleep(wait);
    const look = await lookOnce(ports, adapter, target, observeMs);
    if (look === null) return { proven: false, why: "a look was not answered in time" };
    looks.push(look);
  }
  const absentee = { ...target, provider: adapter.name };
  const verdict = judgeAbsence(absentee, retired, looks, settledAt, terms.policy);
  if (verdict.type !== "proven") return { proven: false, why: verdict.why };
  // Only disk space is left to win: a failure is met again by nobody, and harms nobody.
  await call(ports, observeMs, (bound) => adapter.destroy(target, bound));
  const words = `retired at ${adapter.name} host ${retired.host}, then two looks at sandbox ${target.sandboxId} found nothing`;
  return { proven: true, looks, words };
}

async function lookOnce(
  ports: ReaperPorts,
  adapter: AgentSandbox,
  target: Target,
  timeoutMs: number,
): Promise<Observation | null> {
  const late = new AbortController();
  const beganAt = ports.clock.now();
  const answer = await boundedCall(ports.clock, timeoutMs, () =>
    adapter.observe(target, beganAt, { timeoutMs, signal: late.signal }),
  );
  late.abort();
  return answer.type === "answered" ? answer.value : null;
}

async function call<T>(
  ports: ReaperPorts,
  timeoutMs: number,
  send: (bound: CallBound) => Promise<ProviderResult<T>>,
): Promise<{ readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }> {
  const late = new AbortController();
  const answer = await boundedCall(ports.clock, timeoutMs, () => send({ timeoutMs, signal: late.signal }));
  late.abort();
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
