/** A session that answers every call with one view: what an HTTP test of a codec needs of it. */
import type { Reply } from "../../src/protocol/problem.ts";
import type { SessionView } from "../../src/protocol/resources/session/sessions.ts";
import type { SessionApi } from "../../src/session/session-api.ts";
import { httpClient, type HttpClient } from "./http-client.ts";
import { sampleSession } from "./sample-views.ts";

export const withSession = (session: Partial<SessionApi>): Promise<HttpClient> => httpClient({ answers: { session } });

export function standing(view: Partial<SessionView>, changed = false): Partial<SessionApi> {
  const value = { etag: "1", body: sampleSession(view), changed, replayed: false };
  const reply = async (): Promise<Reply<typeof value>> => ({ ok: true, value });
  return {
    create: reply,
    get: reply,
    pause: reply,
    attach: reply,
    timeout: reply,
    delete: async () => ({ ok: true, value: { session: value.body, done: false, changed } }),
  };
}
