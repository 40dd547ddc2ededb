/** Ports of the loopback interface. */
import { createServer, type AddressInfo } from "node:net";

/** The port itself when nobody listens on it, null when somebody does. 0 asks for any free one. */
export function freePort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => resolve(found));
    });
  });
}
