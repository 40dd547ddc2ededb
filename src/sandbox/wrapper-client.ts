/**
 * `WrapperClient` over HTTP. An adapter supplies only the way to reach the wrapper.
 *
 * Every request shows the controller's token, the fencing token and a fresh nonce; every reply must prove the
 * instance secret for that nonce, or whoever sent it is `foreign_instance` and nothing it said is read.
 * The reply is matched against the recorded instance and generation as well. Bodies of other replies are bounded;
 * output is passed on as it comes, never buffered.
 */
import { failed, succeeded, type ProviderResult } from "../domain/state/failure.ts";
import type { JobId } from "../domain/state/ids.ts";
import { wrapperProtocol, wrapperStanding } from "../domain/state/wrapper-protocol.ts";
import { bootstrapReply, type BootstrapReply, type BootstrapRequest } from "../protocol/sandbox/workspace.ts";
import {
  controllerToken,
  renewalReply,
  wrapperError,
  wrapperHeaders,
  wrapperHealth,
  wrapperJob,
  wrapperJobDetail,
  wrapperProof,
  type RenewalReply,
  type RenewalRequest,
  type WrapperHealth,
  type WrapperJob,
  type WrapperJobDetail,
  type WrapperJobOrder,
} from "../protocol/sandbox/wrapper.ts";
import { spokenProtocol, wrapperDrained, wrapperFrozen, nothingToTell } from "../protocol/sandbox/wrapper-calls.ts";
import type { Clock, Ids } from "../runtime/clock-ids-logger.ts";
import type { CallBound, InstanceRef, JobOutput, WrapperClient } from "./agent-sandbox.ts";
import { httpCall } from "./http-call.ts";
import { jsonOf, shaped, type Shape } from "./http-reply.ts";
import { wrapperRefusals } from "./wrapper-refusals.ts";
import { sameText } from "../protocol/bytes.ts";

/** How an adapter gets a request to one instance's wrapper. */
export interface WrapperReach {
  /** `path` begins with a slash. Rejects when there is no answer; with `NotSent` when it certainly never left. */
  fetch(path: string, init: RequestInit): Promise<Response>;
  /** Drops the remembered address of the wrapper: it led to nobody, or to somebody else. */
  forget(): void;
}

/** What a client needs of its surroundings: to give up in time, and to make nonces. */
export interface Runtime {
  readonly clock: Clock;
  readonly ids: Ids;
}

/** 128 bits. */
const nonceDigits = 32;

interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: BodyInit;
}

export class HttpWrapperClient implements WrapperClient {
  readonly #instance: InstanceRef;
  readonly #reach: WrapperReach;
  readonly #runtime: Runtime;

  constructor(instance: InstanceRef, reach: WrapperReach, runtime: Runtime) {
    this.#instance = instance;
    this.#reach = reach;
    this.#runtime = runtime;
  }

  async health(bound: CallBound): Promise<ProviderResult<WrapperHealth>> {
    return this.#ours(await this.#ask({ method: "GET", path: "/health" }, wrapperHealth, bound));
  }

  async renew(request: RenewalRequest, bound: CallBound): Promise<ProviderResult<RenewalReply>> {
    const call: Call = { method: "POST", path: "/lease", body: JSON.stringify(request) };
    // The version is read before the rest: an unsupported one may well have another shape.
    const reply = await this.#ask(call, spokenProtocol, bound);
    if (!reply.ok) return reply;
    if (wrapperStanding(reply.value.protocol) === "unsupported") {
      return failed(
        "protocol_unsupported",
        `The agent in the sandbox speaks protocol ${reply.value.protocol}, which this Mooring does not. A new sandbox has the agent of this version.`,
        "unknown",
      );
    }
    return this.#ours(shaped(renewalReply, reply.value, "unknown"));
  }

  prepare(request: BootstrapRequest, bound: CallBound): Promise<ProviderResult<BootstrapReply>> {
    return this.#ask({ method: "POST", path: "/bootstrap", body: JSON.stringify(request) }, bootstrapReply, bound);
  }

  startJob(order: WrapperJobOrder, bound: CallBound): Promise<ProviderResult<WrapperJob>> {
    return this.#ask({ method: "POST", path: "/jobs", body: JSON.stringify(order) }, wrapperJob, bound);
  }

  job(id: JobId, tailBytes: number, bound: CallBound, waitMs?: number): Promise<ProviderResult<WrapperJobDetail>> {
    const wait = waitMs === undefined ? "" : `&wait_ms=${waitMs}`;
    return this.#ask({ method: "GET", path: `${pathOf(id)}?tail_bytes=${tailBytes}${wait}` }, wrapperJobDetail, bound);
  }

  async output(id: JobId, offset: number, bound: CallBound): Promise<ProviderResult<JobOutput>> {
    const sent = await this.#send({ method: "GET", path: `${pathOf(id)}/output?offset=${offset}` }, bound);
    if (!sent.ok) return sent;
    if (sent.value.body === null) return failed("malformed", "The agent answered without the job's output.", "none");
    const from = Number(sent.value.headers.get(wrapperHeaders.offset) ?? offset);
    if (!Number.isSafeInteger(from) || from < offset) {
      await sent.value.body.cancel();
      return failed("malformed", "The agent sent output without saying where it begins, so it was not used.", "none");
    }
    return succeeded({ from, body: sent.value.body });
  }

  endJob(id: JobId, as: "cancelled" | "interrupted", bound: CallBound): Promise<ProviderResult<WrapperJob>> {
    return this.#ask({ method: "DELETE", path: `${pathOf(id)}?as=${as}` }, wrapperJob, bound);
  }

  async writeStdin(id: JobId, bytes: Uint8Array, end: boolean, bound: CallBound): Promise<ProviderResult<null>> {
    // A copy on purpose: a view over a shared buffer is no body.
    const call: Call = { method: "POST", path: `${pathOf(id)}/stdin?end=${end ? 1 : 0}`, body: new Uint8Array(bytes) };
    const reply = await this.#ask(call, nothingToTell, bound);
    return reply.ok ? succeeded(null) : reply;
  }

  async drain(bound: CallBound): Promise<ProviderResult<{ readonly activeJobs: number }>> {
    const reply = await this.#ask({ method: "POST", path: "/drain" }, wrapperDrained, bound);
    return reply.ok ? succeeded({ activeJobs: reply.value.active_jobs }) : reply;
  }

  async cutTraffic(bound: CallBound): Promise<ProviderResult<null>> {
    const reply = await this.#ask({ method: "POST", path: "/cut" }, nothingToTell, bound);
    return reply.ok ? succeeded(null) : reply;
  }

  async admit(bound: CallBound): Promise<ProviderResult<null>> {
    const reply = await this.#ask({ method: "DELETE", path: "/drain" }, wrapperDrained, bound);
    return reply.ok ? succeeded(null) : reply;
  }

  async freeze(snapshotId: string, forMs: number, bound: CallBound): Promise<ProviderResult<null>> {
    const body = JSON.stringify({ for_ms: Math.round(forMs), snapshot_id: snapshotId });
    const reply = await this.#ask({ method: "POST", path: "/freeze", body }, wrapperFrozen, bound);
    return reply.ok ? succeeded(null) : reply;
  }

  async thaw(snapshotId: string, bound: CallBound): Promise<ProviderResult<null>> {
    const path = `/freeze?snapshot=${encodeURIComponent(snapshotId)}`;
    const reply = await this.#ask({ method: "DELETE", path }, wrapperFrozen, bound);
    return reply.ok ? succeeded(null) : reply;
  }

  async #ask<T>(call: Call, shape: Shape<T>, bound: CallBound): Promise<ProviderResult<T>> {
    const changes = call.method !== "GET";
    // One bound for head and body together: a reply that trickles is no answer.
    const answer = await httpCall(this.#runtime.clock, bound, changes, async (signal) => {
      const sent = await this.#proven(call, signal);
      return sent.ok ? succeeded(await sent.value.text()) : sent;
    });
    if (!answer.ok) return this.#lost(answer);
    if (!answer.value.ok) return answer.value;
    return shaped(shape, jsonOf(answer.value.value), changes ? "unknown" : "none");
  }

  /** The bound ends with the head of the reply; its body lives on until the caller's own signal. */
  async #send(call: Call, bound: CallBound): Promise<ProviderResult<Response>> {
    const answer = await httpCall(this.#runtime.clock, bound, false, (signal) => this.#proven(call, signal));
    return answer.ok ? answer.value : this.#lost(answer);
  }

  async #proven(call: Call, signal: AbortSignal): Promise<ProviderResult<Response>> {
    const changes = call.method !== "GET";
    const nonce = this.#runtime.ids.secret().slice(0, nonceDigits);
    const response = await this.#reach.fetch(call.path, {
      method: call.method,
      headers: {
        [wrapperHeaders.authorization]: `Bearer ${await controllerToken(this.#instance.secret)}`,
        [wrapperHeaders.generation]: String(this.#instance.generation),
        [wrapperHeaders.nonce]: nonce,
        [wrapperHeaders.protocol]: String(wrapperProtocol),
        ...(typeof call.body === "string" ? { "content-type": "application/json" } : {}),
      },
      ...(call.body === undefined ? {} : { body: call.body }),
      // An impostor must not make us carry the token elsewhere.
      redirect: "manual",
      signal,
    });
    const proof = response.headers.get(wrapperHeaders.proof) ?? "";
    if (!(await sameText(proof, await wrapperProof(this.#instance.secret, nonce)))) {
      await response.body?.cancel();
      this.#reach.forget();
      return failed(
        "foreign_instance",
        "What answered could not prove to be the agent of this sandbox, so its answer was not used.",
        changes ? "unknown" : "none",
      );
    }
    if (response.ok) return succeeded(response);
    const refusal = wrapperError.safeParse(jsonOf(await response.text()));
    if (!refusal.success) {
      return failed(
        "malformed",
        `The agent answered with status ${response.status} and no error that this version knows.`,
        changes ? "unknown" : "none",
      );
    }
    const { code, effect } = wrapperRefusals[refusal.data.code];
    return failed(code, `${refusal.data.code}: ${refusal.data.message}`, changes ? effect : "none");
  }

  #lost<T>(result: Extract<ProviderResult<T>, { ok: false }>): Extract<ProviderResult<T>, { ok: false }> {
    this.#reach.forget();
    return result;
  }

  #ours<T extends { instance_id: string; generation: number }>(result: ProviderResult<T>): ProviderResult<T> {
    if (!result.ok) return result;
    const { instance_id: instanceId, generation } = result.value;
    if (instanceId === this.#instance.instanceId && generation === this.#instance.generation) return result;
    this.#reach.forget();
    return failed(
      "foreign_instance",
      `Another instance answered: ${instanceId} of generation ${generation}. Its answer was not used.`,
      "unknown",
    );
  }
}

function pathOf(id: JobId): string {
  return `/jobs/${encodeURIComponent(id)}`;
}
