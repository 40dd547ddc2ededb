/** What goes straight to a sandbox. Ports themselves take any method and any path, so no contract describes them: docs/traffic.md. */
import { changeProblems, contract } from "../../contract.ts";
import { sandboxProblems } from "./file-contracts.ts";
import { portList, sharePort, sharedPort } from "../../resources/sandbox/ports.ts";

export const trafficContracts = {
  listPorts: contract({
    access: "tenant",
    tag: "Traffic",
    operation: "listPorts",
    method: "GET",
    path: "/v1/sessions/:id/ports",
    summary: "List the ports on which the sandbox listens",
    description:
      "Servers of this sandbox alone, whatever else listens on its machine. Asking does not put the idle clock off.",
    answers: { 200: { means: "By number.", body: portList } },
    problems: sandboxProblems,
  }),
  sharePort: contract({
    access: "tenant",
    tag: "Traffic",
    operation: "sharePort",
    method: "POST",
    path: "/v1/sessions/:id/ports",
    summary: "Make an address for a port",
    description:
      "An address with an end, for a server that runs in the sandbox. It opens this port of this session and nothing else, and dies with the API key that made it (a public one only with its own end). With an API key no address is needed: `ANY /v1/sessions/{id}/ports/{port}/…`, and where Mooring has a domain for it `https://{port}-{id}.{domain}/…`, take any method, path and body, and WebSockets. Nobody need listen yet: until then the answer is 502 `port_closed`.",
    body: { schema: sharePort, required: true, example: { port: 8_000, ttl_seconds: 600 } },
    answers: { 201: { means: "The address.", body: sharedPort } },
    problems: ["session_gone", ...changeProblems],
  }),
} as const;
