/** The real routes in front of rigged sessions: a client over HTTP, and a provider and a clock that a test can disturb. */
import { env } from "cloudflare:workers";
import { readConfig } from "../../../src/config/config.ts";
import { providerNames } from "../../../src/domain/state/provider-names.ts";
import { durableBackend } from "../../../src/wiring/durable-backend.ts";
import type { Env } from "../../../src/config/env.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { systemClock, systemIds } from "../../../src/wiring/system.ts";
import type { Call } from "./mooring.ts";
import { now, registryOf, type RiggedSession } from "./rigged-session.ts";

const bindings = env as unknown as Env & { readonly RIGGED: DurableObjectNamespace<RiggedSession> };

let app: HttpApp | null = null;

function made(): HttpApp {
  const reading = readConfig(bindings, providerNames);
  if (!reading.ok) throw new Error("the tests' config does not fit together");
  const clock = { ...systemClock, now };
  return createApp({
    reading,
    // The budgets of this isolate alone: what is shared between isolates is the platform's.
    counters: { reads: null, writes: null, traffic: null, auth_failures: null },
    traffic: {
      send: async () => ({
        ok: false,
        problem: { code: "unsupported_by_provider", detail: "No traffic in this test." },
      }),
    },
    clock,
    ids: systemIds,
    log: { info: () => {}, warn: () => {}, error: () => {} },
    backend: {
      ...durableBackend(bindings, reading.config, clock),
      tenant: registryOf,
      session: (id) => bindings.RIGGED.get(bindings.RIGGED.idFromName(id)),
      receiptKeys: async () => [],
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
