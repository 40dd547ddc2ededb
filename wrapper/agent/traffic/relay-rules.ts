/** How this agent passes traffic on: nothing of ours crosses, and what goes through counts as activity unless it only keeps a connection alive. */
import type { IncomingMessage } from "node:http";
import { trafficHeaders } from "../../../src/protocol/sandbox/traffic.ts";
import type { TrafficRefused } from "../../relay/refusal.ts";
import type { RelayRules } from "../../relay/relay.ts";
import { isEventComment, isKeepAliveFrame, type TrafficActivity } from "./activity.ts";

const none: ReadonlySet<string> = new Set();

export function relayRules(
  { headers }: IncomingMessage,
  activity: TrafficActivity,
  broken: (error: Error) => TrafficRefused,
): RelayRules {
  const isQuiet = headers[trafficHeaders.quiet] !== undefined;
  return {
    sent: none,
    answered: none,
    broken,
    passed: (chunk, from, answer) => {
      if (isQuiet || (from === "socket" && isKeepAliveFrame(chunk))) return;
      if (answer !== null && isEvents(answer) && isEventComment(chunk)) return;
      activity.note();
    },
  };
}

function isEvents({ headers }: IncomingMessage): boolean {
  return headers["content-type"]?.startsWith("text/event-stream") === true;
}
