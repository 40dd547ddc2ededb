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
import { refused } from "../../answer/problem.ts";
import type { Route, TenantContext } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";
import { inSandbox, type ServiceCall } from "./in-sandbox.ts";

const processNotFound: Problem = {
  code: "process_not_found",
  detail: "There is no such process in this session. List them with GET /v1/sessions/{id}/processes.",
};

/** The body is checked here, where the words for its fields are, and goes on as it came. */
async function withJson(context: TenantContext, schema: z.ZodType, call: ServiceCall): Promise<Made> {
  const copy = context.request.clone();
  const checked = await readJson(context.request, schema, { ranges: {}, empty: "refused" });
  if (!checked.ok) return checked;
  return inSandbox(context, { ...call, body: copy.body });
}

const ofProcess =
  (rest: string, act: (context: TenantContext, call: ServiceCall) => Promise<Made>) =>
  async (context: TenantContext): Promise<Made> => {
    const pid = context.param("pid");
    if (!processIdText.safeParse(pid).success) return refused(processNotFound);
    return act(context, { path: `processes/${pid}${rest}`, missing: "process_not_found" });
  };

async function terminal(context: TenantContext): Promise<Made> {
  if (context.request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    const detail = "A WebSocket: `Upgrade: websocket`, and what belongs to it.";
    const refused = validationFailed([{ pointer: "header.upgrade", detail }]);
    if (!refused.ok) return refused;
  }
  return inSandbox(context, { path: "terminal", query: processQueries.terminal, missing: "process_not_found" });
}

export const processRoutes: readonly Route[] = [
  serve(processContracts.start, (context) =>
    withJson(context, startProcess, { path: "processes", query: processQueries.start }),
  ),
  serve(processContracts.list, (context) => inSandbox(context, { path: "processes", query: processQueries.list })),
  serve(
    processContracts.get,
    ofProcess("", (context, call) => inSandbox(context, call)),
  ),
  serve(
    processContracts.end,
    ofProcess("", (context, call) => inSandbox(context, { ...call, query: processQueries.end })),
  ),
  serve(
    processContracts.output,
    ofProcess("/output", (context, call) => inSandbox(context, { ...call, query: processQueries.output })),
  ),
  serve(
    processContracts.stdin,
    ofProcess("/stdin", (context, call) =>
      inSandbox(context, { ...call, query: processQueries.stdin, body: context.request.body, empty: true }),
    ),
  ),
  serve(
    processContracts.signal,
    ofProcess("/signal", (context, call) => withJson(context, signalProcess, { ...call, empty: true })),
  ),
  serve(
    processContracts.resize,
    ofProcess("/resize", (context, call) => withJson(context, resizeTerminal, { ...call, empty: true })),
  ),
  serve(terminalContract, terminal),
];
