/**
 * Bounds the connections of a server that strangers can reach: jobs share the loopback with their wrapper.
 *
 * A new connection has little time to show its token. Only so many unproven connections are kept, and the oldest is closed when
 * another comes: a controller sends its token with its first bytes, so it gets in however many idle connections a job holds.
 */
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";

export interface ConnectionLimits {
  /** How long a connection may stay without a request that was admitted. */
  readonly strangerMs: number;
  readonly maxStrangers: number;
  /** Of connections that were admitted. */
  readonly maxKnown: number;
}

/**
 * Known: 400 of traffic (traffic.ts), and room for a controller's own. Strangers: a controller sends its headers within
 * milliseconds, behind a container's proxy within a fraction of a second.
 */
export const connectionLimits: ConnectionLimits = { strangerMs: 2_000, maxStrangers: 128, maxKnown: 512 };

/** Call the result with each request that was admitted. */
export function boundConnections(server: Server, limits: ConnectionLimits): (request: IncomingMessage) => void {
  /** In the order of their coming. */
  const strangers = new Map<Socket, NodeJS.Timeout>();
  const known = new Set<Socket>();
  const forget = (socket: Socket): void => {
    clearTimeout(strangers.get(socket));
    strangers.delete(socket);
  };
  server.on("connection", (socket: Socket) => {
    const oldest = strangers.size >= limits.maxStrangers ? strangers.keys().next().value : undefined;
    if (oldest !== undefined) {
      forget(oldest);
      oldest.destroy();
    }
    const refuse = (): void => {
      if (!strangers.has(socket)) return;
      forget(socket);
      socket.destroy();
    };
    // Not at once: after a busy moment the request may have arrived already, and is read after the timers.
    strangers.set(
      socket,
      setTimeout(() => setImmediate(refuse), limits.strangerMs),
    );
    socket.once("close", () => {
      forget(socket);
      known.delete(socket);
    });
  });
  return ({ socket }) => {
    if (!strangers.has(socket)) return;
    forget(socket);
    const oldest = known.size >= limits.maxKnown ? known.keys().next().value : undefined;
    known.add(socket);
    oldest?.destroy();
  };
}
