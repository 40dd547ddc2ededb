/**
 * Calls of the probe's Worker over HTTP. Not by `fetch`: it gives an answer up that does not begin within five minutes, and a step of a
 * recipe answers only when it has ended.
 */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { request as requestWithTls } from "node:https";
import type { Ask } from "./questions.ts";

/** `token` null: on a developer's machine nobody asks for one. */
export function askOver(url: string, token: string | null, timeoutMs: number): Ask {
  return async (box, call, argument = null) => {
    const sent = (url.startsWith("https:") ? requestWithTls : request)(`${url}/${box}/${call}`, {
      method: "POST",
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(timeoutMs),
      agent: false,
    });
    sent.end(JSON.stringify(argument));
    const [reply] = (await once(sent, "response")) as [IncomingMessage];
    let text = "";
    for await (const part of reply.setEncoding("utf8")) text += String(part);
    if (reply.statusCode !== 200) throw new Error(`${call}: ${reply.statusCode} ${text.slice(0, 300)}`);
    return JSON.parse(text) as never;
  };
}
