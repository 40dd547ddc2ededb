/** Renewing a lease: keeps its wrapper alive, makes a launching lease a held one, and brings reports of its jobs. */
import { failed, type ProviderFailure } from "../../domain/state/failure.ts";
import type { Generation } from "../../domain/state/ids.ts";
import { followNetwork } from "./network.ts";
import type { StepContext } from "./step-context.ts";

export async function renew(context: StepContext, generation: Generation): Promise<void> {
  const { ports, calls, jobs } = context;
  const lease = calls.lease(generation);
  if (lease?.phase !== "held" && lease?.phase !== "launching") return;
  const { observeMs, leaseTtlMs } = ports.policy;
  const sequence = lease.renewals.sequence + 1;
  const sentAt = ports.clock.now();
  if (calls.dispatch({ type: "renewalStarted", generation, sequence }).type !== "moved") return;
  const wrapper = jobs.wrapperOf(lease);
  const result =
    wrapper === null
      ? failed("unavailable", `No adapter for provider ${lease.provider} is wired.`, "none")
      : await calls.call(observeMs, "renew", (bound) =>
          wrapper.renew({ sequence, sent_at: sentAt, ttl_ms: leaseTtlMs }, bound),
        );
  if (!result.ok) return renewalFailed(context, generation, sequence, result.failure);
  const reply = result.value;
  // Store the renewal before reading the details of the jobs: they may be slow, and the idle clock needs only this reply.
  calls.dispatch(
    {
      type: "renewalAccepted",
      generation,
      sequence,
      sentAt,
      protocol: reply.protocol,
      activeJobs: reply.active_jobs,
      idleMs: reply.idle_ms,
      ...(reply.jobs_unproven === undefined ? {} : { unproven: reply.jobs_unproven }),
      jitter: ports.ids.random(),
    },
    "sandbox",
  );
  await jobs.learnAll(lease, reply.jobs);
  const held = calls.lease(generation);
  if (held?.phase === "held") await followNetwork(context, held);
}

async function renewalFailed(
  { ports, calls }: StepContext,
  generation: Generation,
  sequence: number,
  failure: ProviderFailure,
): Promise<void> {
  const jitter = ports.ids.random();
  const counted = calls.dispatch({ type: "renewalFailed", generation, sequence, failure, jitter }, "sandbox");
  if (counted.type !== "moved") return;
  const lease = calls.lease(generation);
  if (lease === null || lease.phase === "stopping") return;
  const facts = { ...calls.spanFacts(lease), sequence, code: failure.code, why: failure.message };
  const observation = await ports.trace.span("mooring.renewal_failed", facts, () => calls.look(lease));
  const type = { present: "observedPresent", absent: "observedAbsent", unknown: "observedUnknown" } as const;
  calls.dispatch({ type: type[observation.answer], generation, observation }, "sandbox");
}
