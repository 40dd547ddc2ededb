/**
 * The wire of traffic between the Worker and an agent, over whatever stands between them (the sandbox object, or the local host).
 *
 *   ANY /traffic/{service}/…     ports, and the services for files, processes and terminals
 *
 * A key is derived from the instance's secret, and a token from the key. A request shows a pass: the token, the generation, the
 * instance, and a nonce. What stands between checks generation and instance against what it has armed and retired, and refuses before
 * the agent is asked. The agent checks the token, and proves with the key, which is never sent, that it is the agent: a program that
 * took its port has seen tokens only. A controller's token opens nothing here, and a pass opens nothing else.
 *
 * Our own refusals carry `mooring-refused`. No other header that begins with `mooring-` crosses in either direction.
 */
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { ProviderName } from "../../domain/state/provider-names.ts";
import { hmacHex } from "../bytes.ts";
import { wrapperHeaders } from "./wrapper.ts";

/** With the slash after it. */
export const trafficPrefix = "/traffic/";

export const trafficHeaders = {
  token: "mooring-pass",
  generation: wrapperHeaders.generation,
  nonce: wrapperHeaders.nonce,
  proof: wrapperHeaders.proof,
  sandbox: "mooring-sandbox",
  instance: "mooring-instance",
  /** Marks a request that does not move the idle clock: a watcher, a look. */
  quiet: "mooring-quiet",
  /** The `Host` header that the server on a port receives; absent: `localhost:<port>`. */
  portHost: "mooring-port-host",
  /** On a refusal that is ours, and on nothing else: one of `trafficRefusals`. */
  refused: "mooring-refused",
} as const;

/**
 * The longest body of one request to a sandbox, whatever it is for. Larger trees go in several archives. Without a bound one upload could
 * hold a connection of the sandbox for ever and fill the disk that its neighbours share.
 */
export const maxTrafficBodyBytes = 5 * 1_024 * 1_024 * 1_024;

/** Our own refusals, and their status. None of them had an effect. */
export const trafficRefusals = {
  /** The token is wrong: the caller has no pass of this instance. */
  unauthorized: 401,
  /** That path leads to no service. */
  not_found: 404,
  /** The generation is retired, replaced, or its lease is over. */
  retired: 409,
  /** Its files are being saved: nothing may change them. */
  held: 409,
  /** The agent waits for its first renewal, or for its workspace. */
  not_ready: 409,
  /** The body is longer than `maxTrafficBodyBytes`. */
  too_large: 413,
  /** More requests at once than a sandbox may have. */
  too_many: 429,
  /** No process of this sandbox listens on that port. */
  nobody_listens: 502,
  /** A process of this sandbox listens there, and did not answer as HTTP says. */
  bad_answer: 502,
  /** The agent cannot be reached. */
  unreachable: 503,
} as const satisfies Record<string, number>;
export type TrafficRefusal = keyof typeof trafficRefusals;

/**
 * The right to send traffic to one instance, for some seconds: what a session gives the Worker, so that its requests go straight to
 * the sandbox. It is worth nothing once its generation is retired, whatever `expiresAt` says.
 */
export interface Pass {
  readonly provider: ProviderName;
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  readonly container?: ContainerId;
  readonly generation: Generation;
  readonly instanceId: InstanceId;
  /** Where the sandbox is: the address by which the provider finds it. */
  readonly host: string | null;
  /** Stays in the Worker: what the agent's proof is checked with. */
  readonly key: string;
  /** What a request shows. */
  readonly token: string;
  /** Epoch ms of the control plane; never past the lease. */
  readonly expiresAt: number;
  /** What servers in the sandbox get as `Host`, `${PORT}` for the port. Absent: `localhost:<port>`. */
  readonly portHost?: string;
}

/** How passes and proofs are made. A port, because the fault simulation must not wait for real cryptography. */
export interface TrafficKeys {
  /** The key of one instance, from its secret. Never sent. */
  key(secret: string): Promise<string>;
  /** What opens the traffic of that instance, and is worth nothing to any other. */
  token(key: string): Promise<string>;
  /** What an agent shows for the nonce of a request: proof that it has the instance's secret. */
  proof(key: string, nonce: string): Promise<string>;
}

export const webTrafficKeys: TrafficKeys = {
  key: (secret) => hmacHex(secret, "mooring-traffic"),
  token: (key) => hmacHex(key, "mooring-traffic-pass"),
  proof: (key, nonce) => hmacHex(key, `mooring-traffic-proof\n${nonce}`),
};

/** The headers that show a pass. */
export function passHeaders(pass: Pick<Pass, "token" | "generation" | "instanceId" | "sandboxId">, nonce: string) {
  return {
    [trafficHeaders.token]: pass.token,
    [trafficHeaders.generation]: String(pass.generation),
    [trafficHeaders.instance]: pass.instanceId,
    [trafficHeaders.sandbox]: pass.sandboxId,
    [trafficHeaders.nonce]: nonce,
  } as const;
}

export function isTrafficRefusal(text: string | null): text is TrafficRefusal {
  return text !== null && Object.hasOwn(trafficRefusals, text);
}

/** Headers that belong to one connection, not to the message (RFC 9110 §7.6.1), beside those that `connection` names. */
const ofConnection = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Whether a header of a message goes on to the other side of a proxy. `named`: what its `connection` header names, in lower case. */
export function isEndToEnd(name: string, named: ReadonlySet<string>): boolean {
  return !ofConnection.has(name) && !named.has(name) && !name.startsWith("mooring-");
}

export function namedByConnection(value: string | null | undefined): ReadonlySet<string> {
  return new Set((value ?? "").split(",").map((each) => each.trim().toLowerCase()));
}
