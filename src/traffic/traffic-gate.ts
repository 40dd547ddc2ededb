/**
 * The gate in front of every call that goes straight to a sandbox.
 *
 * It asks the session once for a pass, keeps it in this isolate for the seconds that it is valid, and sends each request to the
 * sandbox side with it. What stands against a request is decided by the session when it gives the pass: unknown, ended, paused, lost.
 * When the sandbox side refuses a pass that was kept, the session is asked again, and its answer is the client's.
 *
 * A request is sent twice only when the first one was certainly not served, and only with a body that is held in memory. A longer body
 * can be read once, so it is never risked on a pass that was kept: the session is asked first.
 */
import type { SessionId, TenantId } from "../domain/state/ids.ts";
import { bodyTooLarge, type Problem, type Reply } from "../protocol/problem.ts";
import {
  isTrafficRefusal,
  maxTrafficBodyBytes,
  type Pass,
  type TrafficRefusal,
  trafficHeaders,
  type TrafficKeys,
} from "../protocol/sandbox/traffic.ts";
import type { AgentSandbox, TrafficRequest } from "../sandbox/agent-sandbox.ts";
import type { Clock, Ids, Logger } from "../runtime/clock-ids-logger.ts";
import type { Caller, SessionApi } from "../session/session-api.ts";
import { PassCache } from "./pass-cache.ts";

export interface GateDependencies {
  readonly session: (id: SessionId) => Pick<SessionApi, "pass">;
  readonly provider: (name: Pass["provider"]) => AgentSandbox | null;
  readonly keys: TrafficKeys;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
}

export interface TrafficOrder extends TrafficRequest {
  /** A watcher: it must not put the idle clock off, nor resume a paused session. */
  readonly quiet?: true;
  /** Aborted when the client has gone. */
  readonly signal?: AbortSignal;
  /** To the head of the answer; by default as long as a server of a sandbox may think. ms */
  readonly answerMs?: number;
}

/** A session that is resumed for a request needs some seconds; restoring large files takes longer. */
const resumeMs = 60_000;
/** A server may compute for minutes before its first byte. A frozen sandbox never answers. */
const answerMs = 600_000;
/** Bodies up to this length are read before they are sent, so that they can be sent again. */
const heldBodyBytes = 65_536;

export class TrafficGate {
  readonly #dependencies: GateDependencies;
  readonly #passes: PassCache;

  constructor(dependencies: GateDependencies) {
    this.#dependencies = dependencies;
    this.#passes = new PassCache(dependencies.clock);
  }

  /** `caller` null: whoever has a signed address of the session; "anyone": whoever knows its host name. The answer comes without our headers; a refusal of ours comes as a problem. */
  async send(caller: Entrant, id: SessionId, order: TrafficOrder): Promise<Reply<Response>> {
    const kept = canBeHeld(order) ? this.#passes.get(holderOf(caller), id) : null;
    const eachTime = kept === null ? () => order : await held(order);
    if (eachTime === null) return { ok: false, problem: brokenOff };
    if (kept !== null) {
      const answer = await this.#through(kept, eachTime());
      if (answer.type === "answered") return { ok: true, value: answer.response };
      if (answer.type === "final") return { ok: false, problem: answer.problem };
      this.#passes.drop(id, kept);
    }
    const given = await this.#ask(caller, id, order.quiet !== true);
    if (!given.ok) return given;
    this.#passes.keep(holderOf(caller), given.value);
    const answer = await this.#through(given.value, eachTime());
    if (answer.type === "answered") return { ok: true, value: answer.response };
    this.#passes.drop(id, given.value);
    return { ok: false, problem: answer.type === "final" ? answer.problem : notServed };
  }

  async #ask(caller: Entrant, id: SessionId, resumes: boolean): Promise<Reply<Pass>> {
    try {
      return await this.#dependencies.session(id).pass(caller, resumeMs, resumes);
    } catch (error) {
      this.#dependencies.log.warn("no pass was given", {
        session: id,
        error: error instanceof Error ? error.message : "",
      });
      return { ok: false, problem: unreadable };
    }
  }

  async #through(pass: Pass, order: TrafficOrder): Promise<Through> {
    const { ids, provider, log } = this.#dependencies;
    const traffic = provider(pass.provider)?.traffic;
    if (traffic === undefined) return { type: "final", problem: unreachable };
    const nonce = ids.secret().slice(0, 32);
    const headers = withoutOurs(order.headers);
    if (order.quiet === true) headers.set(trafficHeaders.quiet, "1");
    if (pass.portHost !== undefined) headers.set(trafficHeaders.portHost, pass.portHost);
    const { method, path, body, signal = new AbortController().signal } = order;
    const bound = { timeoutMs: order.answerMs ?? answerMs, signal };
    const sent = await traffic.send(pass, nonce, { method, path, headers, body }, bound);
    if (!sent.ok) {
      log.warn("traffic was not answered", { session: pass.sessionId, code: sent.failure.code });
      return { type: "final", problem: sent.failure.code === "unsupported" ? unsupported : unreachable };
    }
    return this.#judged(pass, nonce, sent.value);
  }

  async #judged(pass: Pass, nonce: string, response: Response): Promise<Through> {
    const refusal = response.headers.get(trafficHeaders.refused);
    if (isTrafficRefusal(refusal)) {
      await response.body?.cancel();
      const problem = problems[refusal];
      return problem === null ? { type: "refused" } : { type: "final", problem };
    }
    // An answer without proof came from a process that took over the agent's port.
    if (response.headers.get(trafficHeaders.proof) !== (await this.#dependencies.keys.proof(pass.key, nonce))) {
      await response.body?.cancel();
      this.#dependencies.log.warn("traffic was answered by a stranger", { session: pass.sessionId });
      return { type: "final", problem: unreachable };
    }
    return { type: "answered", response: ownHeadersOff(response) };
  }
}

/** A body that says how long it is, and is short. Everything that a client asks of files and processes is, other than files themselves. */
function canBeHeld({ body, headers }: TrafficOrder): boolean {
  if (body === null) return true;
  const length = headers.get("content-length");
  return length !== null && Number(length) <= heldBodyBytes;
}

/** The order as often as it is asked for. null: its body broke off. */
async function held(order: TrafficOrder): Promise<(() => TrafficOrder) | null> {
  if (order.body === null) return () => order;
  try {
    const bytes = await new Response(order.body).arrayBuffer();
    return () => ({ ...order, body: new Response(bytes).body });
  } catch {
    return null;
  }
}

export type Entrant = Caller | null | "anyone";

function holderOf(caller: Entrant): TenantId | null | "*" {
  return caller === "anyone" ? "*" : (caller?.tenant ?? null);
}

type Through =
  | { readonly type: "answered"; readonly response: Response }
  /** Not served: the pass was too old, or the moment was wrong. Only the session knows more. */
  | { readonly type: "refused" }
  | { readonly type: "final"; readonly problem: Problem };

function withoutOurs(given: Headers): Headers {
  const headers = new Headers(given);
  for (const name of [...headers.keys()]) if (name.startsWith("mooring-")) headers.delete(name);
  return headers;
}

function ownHeadersOff(response: Response): Response {
  const headers = withoutOurs(response.headers);
  const { status, statusText, body, webSocket } = response;
  if (webSocket !== null && webSocket !== undefined) return new Response(null, { status, headers, webSocket });
  return new Response(body, { status, statusText, headers });
}

const brokenOff: Problem = {
  code: "validation_failed",
  detail: "The body of this request broke off, so nothing of it was sent to the sandbox.",
};
const notServed: Problem = {
  code: "session_not_running",
  detail:
    "The sandbox is about to begin, to be saved, or to end, and did not take this request. Read the session to see how it stands, then send it again.",
};
const unreachable: Problem = {
  code: "sandbox_unreachable",
  detail:
    "The sandbox did not answer. It is being looked after; whether the request had an effect is not known. Try again in some seconds.",
};
const unreadable: Problem = {
  code: "unavailable",
  detail: "This session could not be read just now, so the request was not sent to its sandbox. Try again in a moment.",
};
const unsupported: Problem = {
  code: "unsupported_by_provider",
  detail:
    "This sandbox takes no files, processes, terminals or ports: it was launched by an earlier release, or shares its container. Jobs work. A rebuild of the session begins a sandbox that does.",
};

/** null: the session is asked. */
const problems: Readonly<Record<TrafficRefusal, Problem | null>> = {
  retired: null,
  unauthorized: null,
  held: null,
  not_ready: null,
  not_found: unsupported,
  unreachable,
  too_large: bodyTooLarge(maxTrafficBodyBytes),
  too_many: {
    code: "too_many_streams",
    detail:
      "The sandbox has as many requests and connections open as it may have at once. Close some, then send this again.",
  },
  nobody_listens: {
    code: "port_closed",
    detail:
      "No process of this sandbox listens on that port. Start the server first (a job, or a process), wait until it listens, then send this again. A server in another sandbox, or outside, is not reached from here.",
  },
  bad_answer: {
    code: "port_bad_answer",
    detail:
      "A process of this sandbox listens on that port, and broke off or did not answer as HTTP says. Its own output may tell why.",
  },
};
