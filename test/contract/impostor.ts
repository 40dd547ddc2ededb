/** Somebody who answers where a wrapper listened, by the rules of the protocol but without its secret. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { isAlive } from "../support/processes.ts";
import { systemClock } from "../support/system-runtime.ts";

/** Kills that wrapper and takes its port. */
export async function takeItsPlace(wrapper: number, port: number, instanceId: string): Promise<Server> {
  process.kill(wrapper, "SIGKILL");
  while (isAlive(wrapper)) await systemClock.sleep(5);
  const body = JSON.stringify({
    session_id: "unknown",
    instance_id: instanceId,
    generation: 1,
    version: "0.1.0",
    protocol: 1,
    pid: 1,
    uptime_ms: 1,
    active_jobs: 0,
    draining: false,
    expires_in_ms: 60_000,
    idle_ms: 0,
    disk: null,
    jobs: [],
  });
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/json", "mooring-proof": "0".repeat(64) }).end(body);
  });
  // The port is free only once the last thread of the wrapper is gone, a moment after it stopped answering.
  for (let bound = false; !bound;) {
    server.listen(port, "127.0.0.1");
    bound = await once(server, "listening").then(
      () => true,
      () => systemClock.sleep(10).then(() => false),
    );
  }
  return server;
}
