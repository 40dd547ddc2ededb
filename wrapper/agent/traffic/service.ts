/** What serves one part of the traffic: everything under `/traffic/{name}`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

export interface TrafficService {
  readonly name: string;
  /**
   * `path` is what follows the name, with the query. The pass was checked, and the proof is among the headers of the response. A
   * `TrafficRefused` that it throws is answered.
   */
  readonly request: (request: IncomingMessage, response: ServerResponse, path: string) => void | Promise<void>;
  /** `proof` belongs in the head of the handshake. Absent: it takes no WebSockets. */
  readonly upgrade?: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    path: string,
    proof: string,
  ) => void | Promise<void>;
  /** How many processes and terminals run for clients: they are work, and hold the idle clock. */
  readonly working?: () => number;
  /** The instance ends, or its files are saved: end what would still change them, by `killAt` (steady clock). */
  readonly cut?: (killAt: number) => void;
  /** Resolves when what was cut has ended. */
  readonly settled?: () => Promise<void>;
}
