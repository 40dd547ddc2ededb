/**
 * E2B's data plane: the calls that its SDK makes to a sandbox itself. The agent in the sandbox speaks E2B's protocol
 * (wrapper/agent/services/envd). This file only decides who may call; the bytes pass through unread in both directions.
 */
import type { SessionId } from "../../../domain/state/ids.ts";
import { e2bDataContracts } from "../../../protocol/contracts/compat/e2b-data-contracts.ts";
import { sessionIdPattern } from "../../../protocol/primitives.ts";
import type { Problem } from "../../../protocol/problem.ts";
import { namedSandbox } from "../../guard/sandbox-auth.ts";
import { trafficTooLarge } from "../../guard/size-limits.ts";
import type { Route, TenantContext } from "../../route.ts";
import { serve } from "../../serve.ts";
import { dataRefusalOf, fileRefusal, type unaryRefusal } from "./data-refusal.ts";
import { sessionNotFound } from "../../../protocol/not-found.ts";

/** The headers that are passed on to the sandbox. None of them carries a credential of Mooring's. */
const passedOn = [
  ...["accept", "content-type", "content-encoding", "range", "if-range", "if-match", "if-none-match"],
  ...["if-modified-since", "if-unmodified-since", "connect-protocol-version", "connect-timeout-ms"],
  "keepalive-ping-interval",
] as const;
const metadataPrefix = "x-metadata-";

async function call(context: TenantContext): Promise<Response> {
  const { pathname } = new URL(context.request.url);
  return await passOn(context, pathname, dataRefusalOf(pathname) ?? fileRefusal);
}

async function file(context: TenantContext): Promise<Response> {
  const { pathname, search } = new URL(context.request.url);
  return await passOn(context, pathname + search, fileRefusal);
}

async function passOn(context: TenantContext, path: string, refusal: typeof unaryRefusal): Promise<Response> {
  const refuse = (problem: Problem) =>
    refusal(problem, { requestId: context.requestId, now: context.clock.now(), url: context.request.url });
  const id = namedSandbox(context.request)?.id ?? null;
  if (id === null) return refuse(noSandboxNamed);
  if (!sessionIdPattern.test(id)) return refuse(sessionNotFound);
  const heavy = trafficTooLarge(context.request);
  if (heavy !== null) return refuse(heavy);
  const { method, body } = context.request;
  const reply = await context.traffic.send(context.caller, id as SessionId, {
    method,
    path: `envd${path}`,
    headers: headersOf(context.request.headers),
    body,
    signal: context.request.signal,
    // A read does not count as activity.
    ...(isLooking(path) ? { quiet: true } : {}),
  });
  return reply.ok ? reply.value : refuse(reply.problem);
}

function headersOf(given: Headers): Headers {
  const headers = new Headers();
  for (const name of passedOn) {
    const value = given.get(name);
    if (value !== null) headers.set(name, value);
  }
  for (const [name, value] of given) if (name.startsWith(metadataPrefix)) headers.set(name, value);
  // Basic carries the Linux user, with an empty password. Any other scheme carries a key of Mooring's, which must not
  // get into the sandbox.
  const user = given.get("authorization") ?? "";
  if (/^Basic /i.test(user)) headers.set("authorization", user);
  return headers;
}

function isLooking(path: string): boolean {
  return /\/(WatchDir|GetWatcherEvents)$/.test(path);
}

const noSandboxNamed: Problem = {
  code: "validation_failed",
  detail:
    "Which sandbox is meant is said by the header E2b-Sandbox-Id, or by the host name, and neither was there. The SDK sends it by itself.",
};

export const dataPlaneRoutes: readonly Route[] = [
  serve(e2bDataContracts.process, call),
  serve(e2bDataContracts.filesystem, call),
  serve(e2bDataContracts.read, file),
  serve(e2bDataContracts.write, file),
];
