/** `WrapperClient` straight to a wrapper of the memory world: the same refusals and the same doubts as over the wire. */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { JobId } from "../../src/domain/state/ids.ts";
import type {
  RenewalReply,
  RenewalRequest,
  WrapperHealth,
  WrapperJob,
  WrapperJobDetail,
  WrapperJobOrder,
} from "../../src/protocol/sandbox/wrapper.ts";
import type { BootstrapReply, BootstrapRequest } from "../../src/protocol/sandbox/workspace.ts";
import type { CallBound, InstanceRef, JobOutput, WrapperClient } from "../../src/sandbox/agent-sandbox.ts";
import type { Op } from "./fault-plan.ts";
import { faultyCall, type FaultyCallDependencies } from "./faulty-call.ts";
import { followOutput } from "./follow-output.ts";
import type { MemoryInstance } from "./memory-instance.ts";
import type { MemoryJob } from "./memory-job.ts";
import { waitFor } from "./wait-for.ts";
import { wrapperRefusals } from "../../src/sandbox/wrapper-refusals.ts";
import { refused, type WrapperAnswer } from "./wrapper-answer.ts";

/** What the wrapper did with the request: answered it, or, frozen, left it unread. `null`: nobody listens. */
type Arrival<T> = { readonly instance: MemoryInstance; readonly answer: WrapperAnswer<T> | "unread" } | null;

export class MemoryWrapperClient implements WrapperClient {
  readonly #at: FaultyCallDependencies;
  readonly #ref: InstanceRef;

  constructor(at: FaultyCallDependencies, ref: InstanceRef) {
    this.#at = at;
    this.#ref = ref;
  }

  health(bound: CallBound): Promise<ProviderResult<WrapperHealth>> {
    return this.#call("health", bound, (wrapper) => wrapper.health(this.#ref.generation), plain);
  }

  renew(request: RenewalRequest, bound: CallBound): Promise<ProviderResult<RenewalReply>> {
    return this.#call("renew", bound, (wrapper) => wrapper.renew(this.#ref.generation, request), plain);
  }

  prepare(request: BootstrapRequest, bound: CallBound): Promise<ProviderResult<BootstrapReply>> {
    const asked = (wrapper: MemoryInstance) => wrapper.prepare(this.#ref.generation, request.order);
    return this.#call("prepare", bound, asked, async (bootstrap, instance, signal) => {
      const { world } = this.#at;
      const until = world.advance() + request.wait_ms;
      const over = () => bootstrap.version > request.seen || world.advance() >= until || !instance.listens;
      world.schedule(request.wait_ms, () => {});
      if (!(await waitFor(this.#at, over, signal))) return failed("timed_out", "the caller gave up", "unknown");
      return instance.listens
        ? succeeded(bootstrap.reply())
        : failed("unavailable", "the connection was cut", "unknown");
    });
  }

  startJob(order: WrapperJobOrder, bound: CallBound): Promise<ProviderResult<WrapperJob>> {
    return this.#call("startJob", bound, (wrapper) => wrapper.startJob(this.#ref.generation, order), viewOf);
  }

  job(id: JobId, tailBytes: number, bound: CallBound, waitMs?: number): Promise<ProviderResult<WrapperJobDetail>> {
    return this.#job("job", id, bound, async (job, instance, signal) => {
      const { world } = this.#at;
      const until = world.advance() + (waitMs ?? 0);
      if (waitMs !== undefined && waitMs > 0) {
        world.schedule(waitMs, () => {});
        const over = () => job.ended || world.advance() >= until || !instance.listens;
        if (!(await waitFor(this.#at, over, signal))) return failed("timed_out", "the caller gave up", "none");
        if (!instance.listens) return failed("unavailable", "the connection was cut", "none");
      }
      const tail = job.output.tail(waitMs === undefined || job.ended ? tailBytes : 0);
      return succeeded({ ...job.view(), tail_base64: base64(tail.bytes), tail_offset: tail.offset });
    });
  }

  output(id: JobId, offset: number, bound: CallBound): Promise<ProviderResult<JobOutput>> {
    return this.#job("output", id, bound, (job, instance) =>
      offset > job.output.written
        ? failed("invalid", `the output has ${job.output.written} bytes`, "none")
        : succeeded(followOutput(this.#at, instance, job, offset)),
    );
  }

  endJob(id: JobId, as: "cancelled" | "interrupted", bound: CallBound): Promise<ProviderResult<WrapperJob>> {
    const told = (wrapper: MemoryInstance): WrapperAnswer<MemoryJob> => {
      const job = wrapper.job(this.#ref.generation, id);
      if (job.ok) job.value.end(as);
      return job;
    };
    return this.#call("endJob", bound, told, async (job, instance, signal) => {
      const over = () => job.ended || instance.processes().length === 0;
      if (!(await waitFor(this.#at, over, signal))) return failed("timed_out", "the caller gave up", "unknown");
      return viewOf(job);
    });
  }

  writeStdin(id: JobId, bytes: Uint8Array, end: boolean, bound: CallBound): Promise<ProviderResult<null>> {
    const written = (wrapper: MemoryInstance): WrapperAnswer<null> => {
      const job = wrapper.job(this.#ref.generation, id);
      if (!job.ok) return job;
      const taken = job.value.writeStdin(bytes, end);
      return taken === "taken" ? { ok: true, value: null } : refused(taken, `job ${id} takes no input now`);
    };
    return this.#call("writeStdin", bound, written, plain);
  }

  drain(bound: CallBound): Promise<ProviderResult<{ readonly activeJobs: number }>> {
    return this.#call("drain", bound, (wrapper) => wrapper.drain(this.#ref.generation), plain);
  }

  admit(bound: CallBound): Promise<ProviderResult<null>> {
    return this.#call("drain", bound, (wrapper) => wrapper.admit(this.#ref.generation), plain);
  }

  freeze(snapshotId: string, forMs: number, bound: CallBound): Promise<ProviderResult<null>> {
    const asked = (wrapper: MemoryInstance) => wrapper.standStill(this.#ref.generation, snapshotId, forMs);
    return this.#call("freeze", bound, asked, plain);
  }

  thaw(snapshotId: string, bound: CallBound): Promise<ProviderResult<null>> {
    return this.#call("freeze", bound, (wrapper) => wrapper.goOn(this.#ref.generation, snapshotId), plain);
  }

  cutTraffic(bound: CallBound): Promise<ProviderResult<null>> {
    return this.#call("cutTraffic", bound, (wrapper) => wrapper.cutTraffic(this.#ref.generation), plain);
  }

  #job<Value>(
    op: Op,
    id: JobId,
    bound: CallBound,
    reply: (
      job: MemoryJob,
      instance: MemoryInstance,
      signal: AbortSignal,
    ) => ProviderResult<Value> | Promise<ProviderResult<Value>>,
  ): Promise<ProviderResult<Value>> {
    return this.#call(op, bound, (wrapper) => wrapper.job(this.#ref.generation, id), reply);
  }

  #call<T, Value>(
    op: Op,
    bound: CallBound,
    ask: (wrapper: MemoryInstance) => WrapperAnswer<T>,
    reply: (
      answer: T,
      wrapper: MemoryInstance,
      signal: AbortSignal,
    ) => ProviderResult<Value> | Promise<ProviderResult<Value>>,
  ): Promise<ProviderResult<Value>> {
    const { sessionId, sandboxId, generation, container } = this.#ref;
    const named = { op, sessionId, sandboxId, generation, ...(container === undefined ? {} : { container }) };
    return faultyCall<Arrival<T>, Value>(this.#at, named, bound, {
      effect: () => this.#arrive(ask),
      reply: async (arrival, signal) => {
        if (arrival === null) return failed("unavailable", "nobody listens there", "unknown");
        const { answer, instance } = arrival;
        if (answer === "unread") {
          await waitFor(this.#at, () => false, signal);
          return failed("timed_out", "the caller gave up", "unknown");
        }
        if (answer.ok) return reply(answer.value, instance, signal);
        const { code, effect } = wrapperRefusals[answer.code];
        return failed(code, answer.message, effect);
      },
    });
  }

  #arrive<T>(ask: (wrapper: MemoryInstance) => WrapperAnswer<T>): Arrival<T> {
    const instance = this.#at.world.instance(this.#ref.sandboxId, this.#ref.instanceId);
    if (instance === null) return null;
    const asked = () =>
      instance.order.secret === this.#ref.secret ? ask(instance) : refused("unauthorized", "the token is wrong");
    if (instance.frozen) {
      instance.whenThawed(() => void asked());
      return { instance, answer: "unread" };
    }
    if (!instance.listens) return null;
    const answer = asked();
    this.#at.world.changed();
    return { instance, answer };
  }
}

function plain<T>(value: T): ProviderResult<T> {
  return succeeded(value);
}

function viewOf(job: MemoryJob): ProviderResult<WrapperJob> {
  return succeeded(job.view());
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
