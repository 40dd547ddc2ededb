/** `…/processes` and `…/terminal`: processes and terminals of a running sandbox. */
import type { z } from "zod";
import {
  processContracts,
  processQueries,
  terminalContract,
} from "../../../protocol/contracts/sandbox/process-contracts.ts";
import { processIdText } from "../../../protocol/primitives.ts";
import type { Problem } from "../../../protocol/problem.ts";
import { resizeTerminal, signalProcess, startProcess } from "../../../protocol/resources/sandbox/processes.ts";
import { readJson } from "../../request/body.ts";
import { validationFailed } from "../../request/validation.ts";
import { problem, type Route, serve, type TenantAsk } from "../../route.ts";
import { inSandbox, type ServiceCall } from "./in-sandbox.ts";

const processNotFound: Problem = {
  code: "process_not_found",
  detail: "There is no such process in this session. List them with GET /v1/sessions/{id}/processes.",
};

/** The body is checked here, where the words for its fields are, and goes on as it came. */
async function withJson(from: TenantAsk, schema: z.ZodType, call: ServiceCall): Promise<Response> {
  const copy = from.request.clone();
  const checked = await readJson(from.request, schema, { ranges: {}, empty: "refused" });
  if (!checked.ok) return problem(from, checked.problem);
  return inSandbox(from, { ...call, body: copy.body });
}

const ofProcess =
  (rest: string, act: (from: TenantAsk, call: ServiceCall) => Promise<Response>) =>
  async (from: TenantAsk): Promise<Response> => {
    const pid = from.param("pid");
    if (!processIdText.safeParse(pid).success) return problem(from, processNotFound);
    return act(from, { path: `processes/${pid}${rest}`, missing: "process_not_found" });
  };

async function terminal(from: TenantAsk): Promise<Response> {
  if (from.request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    const detail = "A WebSocket: `Upgrade: websocket`, and what belongs to it.";
    const refused = validationFailed([{ pointer: "header.upgrade", detail }]);
    if (!refused.ok) return problem(from, refused.problem);
  }
  return inSandbox(from, { path: "terminal", query: processQueries.terminal, missing: "process_not_found" });
}

export const processRoutes: readonly Route[] = [
  serve(processContracts.start, (from) =>
    withJson(from, startProcess, { path: "processes", query: processQueries.start }),
  ),
  serve(processContracts.list, (from) => inSandbox(from, { path: "processes", query: processQueries.list })),
  serve(
    processContracts.get,
    ofProcess("", (from, call) => inSandbox(from, call)),
  ),
  serve(
    processContracts.end,
    ofProcess("", (from, call) => inSandbox(from, { ...call, query: processQueries.end })),
  ),
  serve(
    processContracts.output,
    ofProcess("/output", (from, call) => inSandbox(from, { ...call, query: processQueries.output })),
  ),
  serve(
    processContracts.stdin,
    ofProcess("/stdin", (from, call) =>
      inSandbox(from, { ...call, query: processQueries.stdin, body: from.request.body, empty: true }),
    ),
  ),
  serve(
    processContracts.signal,
    ofProcess("/signal", (from, call) => withJson(from, signalProcess, { ...call, empty: true })),
  ),
  serve(
    processContracts.resize,
    ofProcess("/resize", (from, call) => withJson(from, resizeTerminal, { ...call, empty: true })),
  ),
  serve(terminalContract, terminal),
];
