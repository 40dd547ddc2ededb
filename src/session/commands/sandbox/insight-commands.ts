/**
 * What the sandbox of one session uses and says, read through the provider. Reading is not activity and wakes nothing:
 * a session without a live sandbox answers from what is stored, or says that there is nothing to look at.
 */
import { diagnose, ratesBetween, type JobSymptom, type ResourceSample } from "../../../explain/diagnosis.ts";
import type { JobId } from "../../../domain/state/ids.ts";
import type { Held, OpenLease } from "../../../domain/state/lease.ts";
import type { Session } from "../../../domain/state/session.ts";
import type { JobView } from "../../../protocol/resources/session/jobs.ts";
import type { LogsView, ResourcesView } from "../../../protocol/resources/session/insight.ts";
import { rfc3339 } from "../../../protocol/primitives.ts";
import type { Problem, Reply } from "../../../protocol/problem.ts";
import type { CommandContext } from "../command-context.ts";
import type { ProviderCalls } from "../../steps/provider-calls.ts";
import { notRunning, refuse } from "../refusals.ts";
import { sampleStore, type SampleStore } from "../../records/sample-store.ts";
import type { Caller } from "../../session-api.ts";
import { fromBase64 } from "../../../protocol/bytes.ts";

/** Newest jobs that are shown with their last words. */
const jobsShown = 10;
/** Running jobs whose wrapper is asked for their output so far. */
const liveAsked = 3;
/** Two looks this far apart tell how busy it is right now. Longer would hold the caller, shorter is within /proc's grain. */
const secondLookMs = 1_000;
/** A sample older than this says nothing of right now. */
const freshMs = 120_000;

interface JobRow extends JobSymptom {
  readonly endedAt: number | null;
  readonly exitCode: number | null;
  readonly text: string | null;
}

export class InsightCommands {
  readonly #context: CommandContext;
  readonly #calls: ProviderCalls;
  readonly #samples: SampleStore;

  constructor(context: CommandContext, calls: ProviderCalls) {
    this.#context = context;
    this.#calls = calls;
    this.#samples = sampleStore(context.ports.sql);
  }

  async resources(caller: Caller | null): Promise<Reply<ResourcesView>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    const session = found.value;
    const lease = aliveLease(session);
    if (lease === null) return refuse(notRunning(session));
    const history = this.#samples.of(lease.generation);
    const last = history.at(-1);
    const { clock } = this.#context.ports;
    const first = await this.#sample(lease);
    if (!first.ok) return first;
    if (last === undefined || clock.now() - last.at > freshMs) {
      await clock.sleep(secondLookMs);
      // The first look stands by itself when the second fails.
      await this.#sample(lease);
    }
    return { ok: true, value: this.#resourcesView(session, lease) };
  }

  async logs(caller: Caller | null, tailBytes: number): Promise<Reply<LogsView>> {
    const found = this.#context.findAs(caller);
    if (!found.ok) return found;
    const session = found.value;
    const lease = aliveLease(session);
    const { clock } = this.#context.ports;
    const read = lease === null ? null : await this.#readLog(lease, tailBytes);
    const jobs = await this.#withLiveTails(lease, this.#jobs(tailBytes), tailBytes);
    const now = clock.now();
    const value = read?.ok === true ? read.value : null;
    const silent = value?.lastWrittenAgoMs ?? null;
    return {
      ok: true,
      value: {
        session_id: session.id,
        sandbox:
          value === null || lease === null
            ? null
            : {
                sandbox_id: lease.sandboxId,
                text: value.text,
                last_written_at: silent === null ? null : rfc3339(now - silent),
              },
        unavailable: read === null ? "There is no sandbox now." : read.ok ? null : read.failure.message,
        jobs: jobs.map((job) => ({
          id: job.id,
          state: job.state as JobView["state"],
          started_at: job.startedAt === null ? null : rfc3339(job.startedAt),
          ended_at: job.endedAt === null ? null : rfc3339(job.endedAt),
          exit_code: job.exitCode,
          signal: job.signal,
          tail: job.text,
        })),
        last_activity_at: rfc3339(session.activity.lastAt),
        diagnosis: [
          ...diagnose({
            ...this.#symptoms(session, lease, jobs),
            log: value === null ? null : { text: value.text, silentMs: silent },
          }),
        ],
      },
    };
  }

  /** `null` asks as the operator: any tenant's. */
  async #sample(lease: OpenLease): Promise<Reply<ResourceSample>> {
    const { clock, policy, logger } = this.#context.ports;
    const provider = this.#calls.provider(lease);
    if (provider === null) return refuse(unreachable(`No adapter for provider ${lease.provider} is wired.`));
    const read = await this.#calls.call(policy.observeMs, "readResources", (bound) =>
      provider.readResources(this.#calls.target(lease), bound),
    );
    if (!read.ok) return refuse(unreachable(read.failure.message));
    const sample: ResourceSample = { at: clock.now(), ...read.value };
    try {
      // The session may have ended, and its rows have gone, while we looked.
      if (this.#context.state.session !== null) this.#samples.add(lease.generation, sample);
    } catch (error) {
      logger.warn("a resource sample was not kept", { error: String(error) });
    }
    return { ok: true, value: sample };
  }

  #readLog(lease: OpenLease, tailBytes: number) {
    const provider = this.#calls.provider(lease);
    return this.#calls.call(this.#context.ports.policy.observeMs, "readLogs", async (bound) =>
      provider === null
        ? {
            ok: false,
            failure: {
              code: "unavailable",
              message: `No adapter for provider ${lease.provider} is wired.`,
              effect: "none",
            },
          }
        : await provider.readLogs(this.#calls.target(lease), tailBytes, bound),
    );
  }

  #resourcesView(session: Session, lease: OpenLease): ResourcesView {
    const samples = this.#samples.of(lease.generation);
    const last = samples.at(-1) ?? {
      at: 0,
      cpuSeconds: 0,
      memoryBytes: 0,
      diskUsedBytes: null,
      processes: 0,
      operations: null,
    };
    const history = samples.map((sample, index) => {
      const before = samples[index - 1];
      const rates = before === undefined ? null : ratesBetween(before, sample);
      return {
        at: rfc3339(sample.at),
        cpu_percent: rates === null ? null : rounded(rates.cpuPercent),
        memory_mb: megabytes(sample.memoryBytes),
        disk_mb: sample.diskUsedBytes === null ? null : megabytes(sample.diskUsedBytes),
        processes: sample.processes,
        operations: sample.operations,
      };
    });
    const durationMs = Math.max(0, last.at - lease.openedAt);
    const sinceLaunch = durationMs === 0 ? 0 : (last.cpuSeconds / (durationMs / 1_000)) * 100;
    return {
      session_id: session.id,
      sandbox_id: lease.sandboxId,
      generation: lease.generation,
      as_of: rfc3339(last.at),
      duration_ms: durationMs,
      cpu_percent: history.at(-1)?.cpu_percent ?? rounded(sinceLaunch),
      memory_mb: megabytes(last.memoryBytes),
      disk_mb: last.diskUsedBytes === null ? null : megabytes(last.diskUsedBytes),
      processes: last.processes,
      operations: last.operations,
      history,
      diagnosis: [...diagnose({ ...this.#symptoms(session, lease, this.#jobs(8_192)), log: null })],
    };
  }

  #symptoms(session: Session, lease: OpenLease | null, jobs: readonly JobRow[]) {
    return {
      now: this.#context.ports.clock.now(),
      samples: lease === null ? [] : this.#samples.of(lease.generation),
      jobs,
      lastActivityAt: session.activity.lastAt,
      agentType: session.profile.agentType,
      taskId: session.profile.taskId,
    };
  }

  #jobs(tailBytes: number): readonly JobRow[] {
    return this.#context.jobs.newest(jobsShown).map(({ id, state, startedAt, endedAt, exitCode, signal, tail }) => {
      const text = tail === null ? null : textOf(tail.subarray(Math.max(0, tail.length - tailBytes)));
      return { id, state, startedAt, endedAt, exitCode, signal, text, tail: text ?? "" };
    });
  }

  /** Adds what running jobs have written so far. A job that does not answer in time has no tail. */
  async #withLiveTails(
    lease: OpenLease | null,
    jobs: readonly JobRow[],
    tailBytes: number,
  ): Promise<readonly JobRow[]> {
    const provider = lease === null ? null : this.#calls.provider(lease);
    if (lease === null || provider === null) return jobs;
    const wrapper = provider.wrapper({
      ...this.#calls.target(lease),
      instanceId: lease.instanceId,
      secret: lease.secret,
    });
    const running = jobs.filter((job) => job.state === "running").slice(0, liveAsked);
    const tails = new Map(
      await Promise.all(
        running.map(async ({ id }) => {
          const detail = await this.#calls.call(this.#context.ports.policy.observeMs, "job", (bound) =>
            wrapper.job(id as JobId, tailBytes, bound),
          );
          return [id, detail.ok ? textOf(fromBase64(detail.value.tail_base64)) : null] as const;
        }),
      ),
    );
    return jobs.map((job) => {
      const text = tails.get(job.id) ?? job.text;
      return { ...job, text, tail: text ?? "" };
    });
  }
}

/** The lease whose sandbox can be looked at. A stopping sandbox may be frozen: a look would only wait for its bound. */
function aliveLease(session: Session): Held | null {
  return session.newest?.phase === "held" ? session.newest : null;
}

function unreachable(words: string): Problem {
  return {
    code: "sandbox_unreachable",
    detail: `The sandbox could not be looked at: ${words} It is being looked after; try again in some seconds.`,
  };
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function megabytes(bytes: number): number {
  return rounded(bytes / 2 ** 20);
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
