/**
 * The door to everything that is not a job: checks the pass, hands over to the service that the path names, and knows every connection
 * that is open, so that all of them can be cut at once.
 *
 * Cut means destroyed: a client sees a broken connection, never the clean end of a body that was not whole. That happens before any
 * process of this sandbox is signalled, and before its files are saved.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { trafficHeaders, trafficPrefix, webTrafficKeys } from "../../../src/protocol/sandbox/traffic.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import type { Log } from "../bounded-log.ts";
import type { Fence } from "../fence.ts";
import type { TrafficActivity } from "./activity.ts";
import { refuseRequest, refuseUpgrade, TrafficRefused } from "../../relay/refusal.ts";
import type { TrafficService } from "./service.ts";
import { isSameSecret } from "../../relay/same-secret.ts";

export interface TrafficDependencies {
  readonly boot: WrapperBoot;
  readonly fence: Fence;
  readonly activity: TrafficActivity;
  readonly services: readonly TrafficService[];
  /** Its workspace is being prepared: nobody may see it half done. */
  readonly preparing: () => boolean;
  readonly log: Log;
}

/** Requests and WebSockets at once. Below what the server takes in connections, so that a renewal always gets in. */
export const maxOpen = 400;

export class Traffic {
  readonly #dependencies: TrafficDependencies;
  readonly #key: string;
  readonly #token: string;
  readonly #open = new Set<Duplex>();
  #held = false;
  /** While the sandbox stands still: resolves when it goes on. */
  #still: PromiseWithResolvers<void> | null = null;

  constructor(dependencies: TrafficDependencies, key: string, token: string) {
    this.#dependencies = dependencies;
    this.#key = key;
    this.#token = token;
  }

  static async of(dependencies: TrafficDependencies): Promise<Traffic> {
    const key = await webTrafficKeys.key(dependencies.boot.secret);
    return new Traffic(dependencies, key, await webTrafficKeys.token(key));
  }

  isTraffic(url: string | undefined): boolean {
    return url?.startsWith(trafficPrefix) === true;
  }

  /** ms since the last traffic; 0 while a process or a terminal is open. */
  get idleMs(): number {
    return this.working > 0 ? 0 : this.#dependencies.activity.idleMs;
  }

  /** Processes and terminals that run for clients. */
  get working(): number {
    return this.#dependencies.services.reduce((sum, { working }) => sum + (working?.() ?? 0), 0);
  }

  /** Refuses all traffic and cuts what is open, until `release`: the sandbox drains. Resolves when nothing runs of what was cut. */
  async hold(killAt: number): Promise<void> {
    this.#held = true;
    this.cut(killAt);
    await this.settled();
  }

  release(): void {
    this.#held = false;
  }

  /** New requests wait until `goOn`. Open connections stay open. */
  standStill(): void {
    this.#still ??= Promise.withResolvers();
  }

  goOn(): void {
    this.#still?.resolve();
    this.#still = null;
  }

  /** What runs for the services is ended after that, by `killAt`. */
  cut(killAt: number): void {
    for (const socket of this.#open) socket.destroy();
    for (const { cut } of this.#dependencies.services) cut?.(killAt);
  }

  /** Resolves when nothing runs any more of what was cut. */
  async settled(): Promise<void> {
    await Promise.all(this.#dependencies.services.map(async ({ settled }) => settled?.()));
  }

  async request(request: IncomingMessage, response: ServerResponse, admitted: () => void): Promise<void> {
    const proof = await this.#proof(request);
    try {
      this.#admit(request);
      admitted();
      this.#follow(request, request.socket, (over) => response.once("close", over));
      if (!(await this.#waited(request.socket))) return;
      const { service, path } = this.#admitted(request);
      if (proof !== null) response.setHeader(trafficHeaders.proof, proof);
      await service.request(request, response, path);
    } catch (error) {
      refuseRequest(response, this.#refusal(error));
    }
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, admitted: () => void): Promise<void> {
    socket.on("error", () => {});
    const proof = await this.#proof(request);
    try {
      this.#admit(request);
      admitted();
      this.#follow(request, socket, (over) => socket.once("close", over));
      if (!(await this.#waited(socket))) return;
      const { service, path } = this.#admitted(request);
      if (service.upgrade === undefined) throw new TrafficRefused("not_found", "That takes no WebSocket.");
      await service.upgrade(request, socket, head, path, proof ?? "");
    } catch (error) {
      refuseUpgrade(socket, this.#refusal(error), null);
    }
  }

  /** Also counts it: what waits while the sandbox stands still is open, and may be many. */
  #admit(request: IncomingMessage): void {
    this.#admitted(request);
    if (this.#open.size >= maxOpen)
      throw new TrafficRefused("too_many", `A sandbox takes ${maxOpen} requests and connections at once.`);
  }

  /** Until the sandbox does not stand still. false: nobody is there any more. */
  async #waited(socket: Duplex): Promise<boolean> {
    while (this.#still !== null) await this.#still.promise;
    return !socket.destroyed;
  }

  /** Nothing is awaited from the check to the service, so what was cut is not begun after it. */
  #admitted(request: IncomingMessage): { readonly service: TrafficService; readonly path: string } {
    const { boot, fence, services, preparing } = this.#dependencies;
    const { headers } = request;
    if (!isSameSecret(headers[trafficHeaders.token], this.#token))
      throw new TrafficRefused("unauthorized", "A pass of this instance is needed.");
    if (headers[trafficHeaders.generation] !== String(boot.generation))
      throw new TrafficRefused("retired", `This is generation ${boot.generation}.`);
    if (fence.lost !== null) throw new TrafficRefused("retired", "This instance is ending.");
    if (!fence.renewed) throw new TrafficRefused("not_ready", "Nothing is served before the first renewal.");
    if (preparing()) throw new TrafficRefused("not_ready", "The workspace is being prepared.");
    if (this.#held) throw new TrafficRefused("held", "The files of this sandbox are being saved.");
    const path = (request.url ?? "").slice(trafficPrefix.length);
    const name = /^[a-z]+/.exec(path)?.[0] ?? "";
    const service = services.find((each) => each.name === name);
    if (service === undefined) throw new TrafficRefused("not_found", "That path leads to no service of this agent.");
    return { service, path: path.slice(name.length) };
  }

  #follow(request: IncomingMessage, socket: Duplex, whenOver: (over: () => void) => void): void {
    const { activity } = this.#dependencies;
    const isQuiet = request.headers[trafficHeaders.quiet] !== undefined;
    if (!isQuiet) activity.note();
    this.#open.add(socket);
    whenOver(() => {
      this.#open.delete(socket);
      if (!isQuiet) activity.note();
    });
  }

  async #proof({ headers }: IncomingMessage): Promise<string | null> {
    const nonce = headers[trafficHeaders.nonce];
    return typeof nonce === "string" && /^[0-9a-f]{32}$/.test(nonce) ? webTrafficKeys.proof(this.#key, nonce) : null;
  }

  #refusal(error: unknown): TrafficRefused {
    if (error instanceof TrafficRefused) return error;
    this.#dependencies.log("traffic failed", { error: String(error instanceof Error ? error.stack : error) });
    return new TrafficRefused("unreachable", "A bug in the agent; its log has more.");
  }
}
