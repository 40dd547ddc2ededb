/** `/traffic/files/…`, `/traffic/processes/…` and the like: passed on to the process that runs as the jobs' user. */
import { request as sendRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { servicePaths } from "../../../src/protocol/sandbox/services.ts";
import { trafficHeaders } from "../../../src/protocol/sandbox/traffic.ts";
import { TrafficRefused } from "../../relay/refusal.ts";
import { maxHeadBytes, onward, relayRequest, relayUpgrade } from "../../relay/relay.ts";
import type { TrafficActivity } from "./activity.ts";
import { relayRules } from "./relay-rules.ts";
import type { TrafficService } from "./service.ts";
import type { ServiceProcess } from "./service-process.ts";

type Served = Pick<ServiceProcess, "address" | "active" | "cut" | "settled">;

/** All of them are one process. It is asked about, cut and waited for once. */
export function serviceProxies(served: Served, activity: TrafficActivity): readonly TrafficService[] {
  const proxies = servicePaths.map((name) => proxyOf(name, served, activity));
  const [first, ...others] = proxies;
  if (first === undefined) return [];
  const own = {
    working: () => served.active,
    cut: (killAt: number) => served.cut(killAt),
    settled: () => served.settled(),
  };
  return [{ ...first, ...own }, ...others];
}

function proxyOf(name: string, served: Served, activity: TrafficActivity): TrafficService {
  return {
    name,
    request: async (request, response, path) => {
      const upstream = await connect(served, request, `/${name}${path}`);
      relayRequest(request, response, upstream, relayRules(request, activity, gone));
    },
    upgrade: async (request, socket, head, path, proof) => {
      const upstream = await connect(served, request, `/${name}${path}`);
      relayUpgrade(socket, head, upstream, relayRules(request, activity, gone), [`${trafficHeaders.proof}: ${proof}`]);
    },
  };
}

async function connect(served: Served, request: IncomingMessage, path: string): Promise<ClientRequest> {
  const address = await served.address();
  if (request.socket.destroyed) throw new TrafficRefused("retired", "The connection was cut.");
  if (address === null) throw gone();
  return sendRequest({
    socketPath: address,
    path,
    method: request.method ?? "GET",
    headers: { ...onward(request, new Set()), host: "services" },
    maxHeaderSize: maxHeadBytes,
    agent: false,
  });
}

function gone(): TrafficRefused {
  return new TrafficRefused(
    "unreachable",
    "The process that serves files and processes in the sandbox does not run just now.",
  );
}
