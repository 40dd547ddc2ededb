/** Ports of the loopback interface. */
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";

/** Tries of ports that turn out to be taken, before the kernel is asked for one. */
const tries = 50;
const lowest = 10_000;

/**
 * The port itself when nobody listens on it, null when somebody does. 0 asks for any free one.
 *
 * For a program that must be told its port before it binds it. The port is chosen outside the kernel's ephemeral
 * range: an outgoing connection, or a program that binds port 0, could otherwise take it between this look and the bind.
 */
export async function freePort(port: number): Promise<number | null> {
  if (port !== 0) return bound(port);
  const highest = firstOfKernel();
  for (let count = 0; count < tries && highest > lowest; count += 1) {
    const found = await bound(lowest + Math.floor(Math.random() * (highest - lowest)));
    if (found !== null) return found;
  }
  return bound(0);
}

function bound(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => resolve(found));
    });
  });
}

/** Where the kernel's own range begins; Linux's default when it does not say. */
export function firstOfKernel(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
  } catch {
    return 32_768;
  }
}
