/**
 * Passes traffic on to the wrappers of this host, and refuses it from the moment a generation is retired. Every connection is known by
 * its sandbox, so that a retirement cuts what is open before anything is signalled, even when the wrapper is frozen.
 *
 * Bodies go through as they come: each direction waits for its reader, and one that breaks off breaks off the other.
 */
import {
  Agent,
  request as sendRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import { trafficHeaders, trafficPrefix } from "../../../src/protocol/sandbox/traffic.ts";
import { startTimeOf } from "../../proc/marked-processes.ts";
import { refuseRequest, refuseUpgrade, TrafficRefused } from "../../relay/refusal.ts";
import { maxHeadBytes, onward, relayRequest, relayUpgrade, type RelayRules } from "../../relay/relay.ts";
import type { Records, Running } from "../records/records.ts";

interface Open {
  readonly sandboxId: string;
  readonly generation: number;
  cut(): void;
}

export interface HostTrafficDependencies {
  readonly records: Pick<Records, "get">;
  readonly bootId: string;
}

/** Passes the pass on to the agent, and the agent's own headers back. The host's token is never passed on. */
const rules: RelayRules = {
  sent: new Set<string>([
    ...[trafficHeaders.token, trafficHeaders.generation, trafficHeaders.nonce],
    ...[trafficHeaders.quiet, trafficHeaders.portHost],
  ]),
  answered: new Set([trafficHeaders.proof, trafficHeaders.refused]),
  broken: (error) => new TrafficRefused("unreachable", `The agent did not answer (${error.message}).`),
  passed: () => {},
};

export class HostTraffic {
  readonly #dependencies: HostTrafficDependencies;
  readonly #open = new Set<Open>();
  /** Kept-alive connections to wrappers. A body that cannot be sent twice never goes over one that the wrapper may have closed. */
  readonly #connections = new Agent({ keepAlive: true, maxFreeSockets: 64, timeout: 60_000 });

  constructor(dependencies: HostTrafficDependencies) {
    this.#dependencies = dependencies;
  }

  isTraffic(url: string | undefined): boolean {
    return url?.startsWith(trafficPrefix) === true;
  }

  /** Cuts all traffic of that sandbox up to this generation. The records refuse new requests already. */
  retire(sandboxId: string, through: number): void {
    for (const open of this.#open) if (open.sandboxId === sandboxId && open.generation <= through) open.cut();
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    try {
      const upstream = this.#send(request);
      this.#follow(request, upstream, request.socket, (over) => response.once("close", over));
      relayRequest(request, response, upstream, rules);
    } catch (error) {
      refuseRequest(response, asRefused(error));
    }
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => {});
    try {
      const upstream = this.#send(request);
      this.#follow(request, upstream, socket, (over) => socket.once("close", over));
      relayUpgrade(socket, head, upstream, rules, []);
    } catch (error) {
      refuseUpgrade(socket, asRefused(error), null);
    }
  }

  /** Synchronous from the check to the send: a retirement in between is impossible. */
  #send(request: IncomingMessage): ClientRequest {
    const { url } = this.#admit(request);
    const mayRepeat = request.headers.upgrade === undefined && (request.method === "GET" || request.method === "HEAD");
    return sendRequest(`${url}${request.url ?? "/"}`, {
      method: request.method ?? "GET",
      headers: onward(request, rules.sent),
      maxHeaderSize: maxHeadBytes,
      agent: mayRepeat ? this.#connections : false,
    });
  }

  #admit({ headers }: IncomingMessage): Running {
    const sandboxId = String(headers[trafficHeaders.sandbox] ?? "");
    const generation = Number(headers[trafficHeaders.generation]);
    const record = this.#dependencies.records.get(sandboxId);
    const armed = record?.armed ?? null;
    if (record === null || armed === null) throw new TrafficRefused("retired", "Nothing of that sandbox is here.");
    if (armed.generation !== generation || armed.instanceId !== headers[trafficHeaders.instance])
      throw new TrafficRefused("retired", `This sandbox serves generation ${armed.generation}.`);
    if (record.retiredThrough !== null && generation <= record.retiredThrough)
      throw new TrafficRefused("retired", `Generation ${generation} is retired.`);
    const { running } = armed;
    // Another process may have the wrapper's port by now: what is sent there would be a stranger's to read.
    const isAlive =
      running !== null &&
      armed.bootId === this.#dependencies.bootId &&
      startTimeOf(running.wrapper.pid) === running.wrapper.startTime;
    if (!isAlive) throw new TrafficRefused("unreachable", "The wrapper of that instance is not running.");
    return running;
  }

  #follow(
    { headers }: IncomingMessage,
    upstream: ClientRequest,
    socket: Duplex,
    whenOver: (over: () => void) => void,
  ): void {
    const open = {
      sandboxId: String(headers[trafficHeaders.sandbox]),
      generation: Number(headers[trafficHeaders.generation]),
      cut: () => {
        upstream.destroy();
        socket.destroy();
      },
    };
    this.#open.add(open);
    whenOver(() => this.#open.delete(open));
  }
}

function asRefused(error: unknown): TrafficRefused {
  return error instanceof TrafficRefused
    ? error
    : new TrafficRefused("unreachable", "The record of that sandbox cannot be read; the host's log has more.");
}
