/** The real routes in front of rigged sessions: a client over HTTP, and a provider and a clock that a test can disturb. */
import { env } from "cloudflare:workers";
import { readConfig } from "../../../src/config.ts";
import { durableBackend } from "../../../src/durable-backend.ts";
import type { Env } from "../../../src/env.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { systemClock, systemIds } from "../../../src/system.ts";
import type { Call } from "./mooring.ts";
import { now, registryOf, type RiggedSession } from "./rigged-session.ts";

const bindings = env as unknown as Env & { readonly RIGGED: DurableObjectNamespace<RiggedSession> };

let app: HttpApp | null = null;

function made(): HttpApp {
  const reading = readConfig(bindings);
  if (!reading.ok) throw new Error("the tests' config does not fit together");
  const clock = { ...systemClock, now };
  return createApp({
    reading,
    // The budgets of this isolate alone: what is shared between isolates is the platform's.
    counters: { reads: null, writes: null, auth_failures: null },
    clock,
    ids: systemIds,
    log: { info: () => {}, warn: () => {}, error: () => {} },
    backend: {
      ...durableBackend(bindings, reading.config, clock),
      tenant: registryOf,
      session: (id) => bindings.RIGGED.get(bindings.RIGGED.idFromName(id)),
      operations: () => {
        throw new Error("orders over the whole fleet would go to the other sessions");
      },
    },
  });
}

/** As `send` of mooring.ts; `signal` aborts the request as a client that goes away does. */
export async function riggedSend(method: string, path: string, call: Call, signal?: AbortSignal): Promise<Response> {
  app ??= made();
  const request = new Request(`https://mooring.test${path}`, {
    method,
    headers: {
      authorization: `Bearer ${call.key}`,
      ...(call.json === undefined ? {} : { "content-type": "application/json" }),
      ...call.headers,
    },
    ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
    ...(signal === undefined ? {} : { signal }),
  });
  return await app.fetch(request);
}
