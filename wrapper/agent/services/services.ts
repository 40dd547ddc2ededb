/**
 * The service process: files, processes and terminals, served as the user of the jobs. The wrapper starts it, hands it a
 * socket to listen on and an order on descriptor 4, and is the only one that connects. It ends when the wrapper is gone.
 */
import { Server, Socket } from "node:net";
import { homedir } from "node:os";
import { boundedLines } from "./bounded-lines.ts";
import type { ServiceRoute } from "./exchange.ts";
import { envdRoutes } from "./envd/envd-routes.ts";
import { fileRoutes } from "./files/file-routes.ts";
import { FileMetadata } from "./files/metadata.ts";
import { removeDrafts } from "./files/replacing.ts";
import { ClientProcesses } from "./processes/client-processes.ts";
import { removeLeftPipes } from "./processes/pipe-shelf.ts";
import { processRoutes } from "./processes/process-routes.ts";
import { TerminalSockets } from "./processes/terminal-socket.ts";
import { serviceLinkDescriptor, type ServiceNews, type ServiceOrder } from "./service-link.ts";
import { watchRoutes } from "./watch/watch-routes.ts";
import { serviceServer } from "./service-server.ts";

export async function runServices(): Promise<void> {
  const link = new Socket({ fd: serviceLinkDescriptor, readable: true, writable: true });
  let processes: ClientProcesses | null = null;
  const end = (code: number): never => {
    removeDrafts();
    processes?.removePipes();
    process.exit(code);
  };
  link.once("close", () => end(0));
  link.on("error", () => end(0));
  process.on("SIGTERM", () => end(0));
  process.on("uncaughtException", (error) => {
    process.stderr.write(`mooring services: ${error.stack ?? String(error)}\n`);
    end(1);
  });
  // Socket and order may come in either order.
  const listener = handedOver();
  const order = await ordered(link);
  const { workspace, home } = order;
  const base = { workspace, home: home ?? homedir() };
  const tell = (news: ServiceNews): void => void link.write(`${JSON.stringify(news)}\n`);
  removeLeftPipes();
  processes = new ClientProcesses(base, tell);
  const metadata = new FileMetadata();
  const routes: readonly ServiceRoute[] = [
    ...fileRoutes(base, metadata),
    ...watchRoutes(base),
    ...processRoutes(processes),
    ...envdRoutes({ base, processes, metadata, env: order.env }),
  ];
  const server = serviceServer(routes, new TerminalSockets(processes));
  (await listener).on("connection", (socket: Socket) => server.emit("connection", socket));
  process.send?.("listening");
}

function ordered(link: Socket): Promise<ServiceOrder> {
  return new Promise((resolve) => {
    link.setEncoding("utf8");
    link.on(
      "data",
      boundedLines(
        (line) => resolve(JSON.parse(line) as ServiceOrder),
        () => process.exit(1),
      ),
    );
  });
}

function handedOver(): Promise<Server> {
  return new Promise((resolve) => {
    process.on("message", (_message, handle) => {
      if (handle instanceof Server) resolve(handle);
    });
  });
}
