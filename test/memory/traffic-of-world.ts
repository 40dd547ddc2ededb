/** The `traffic` of the memory provider: the host's judgement of a pass, and the agent's answer under the fault of the call. */
import { succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import {
  type Pass,
  trafficHeaders,
  type TrafficKeys,
  type TrafficRefusal,
  trafficRefusals,
} from "../../src/protocol/sandbox/traffic.ts";
import type { Traffic, TrafficRequest } from "../../src/sandbox/agent-sandbox.ts";
import { faultyCall, type FaultyCallDependencies } from "./faulty-call.ts";
import type { Served } from "./memory-traffic.ts";
import type { MemoryWorld } from "./memory-world.ts";
import { waitFor } from "./wait-for.ts";

export function trafficOfWorld(at: FaultyCallDependencies, keys: TrafficKeys): Traffic {
  return {
    send: async (pass, nonce, request, bound) => {
      const { world } = at;
      const { sessionId, sandboxId, instanceId, generation, token } = pass;
      const secret = world.instance(sandboxId, instanceId)?.order.secret ?? null;
      // A sandbox without an instance has no secret, and WebCrypto takes no empty one.
      const key = await keys.key(secret ?? "none");
      const isKey = secret !== null && (await keys.token(key)) === token;
      const proof = await keys.proof(key, nonce);
      const call = { op: "traffic", sessionId, sandboxId, generation } as const;
      return faultyCall<Served | "unread", Response>(at, call, bound, {
        effect: () => served(world, pass, isKey, request),
        reply: async (answer, signal): Promise<ProviderResult<Response>> => {
          if (answer === "unread") {
            await waitFor(at, () => false, signal);
            return succeeded(refusal("unreachable"));
          }
          if (answer.type === "refused") return succeeded(refusal(answer.code));
          return succeeded(
            new Response(answer.body, {
              headers: { "content-type": "application/json", [trafficHeaders.proof]: proof },
            }),
          );
        },
      });
    },
  };
}

function served(world: MemoryWorld, pass: Pass, isKey: boolean, request: TrafficRequest): Served | "unread" {
  const record = world.sandbox(pass.sandboxId);
  const { generation, instanceId } = pass;
  if (record?.armed?.instanceId !== instanceId || record.armed.generation !== generation) return refused("retired");
  if (record.retiredThrough !== null && generation <= record.retiredThrough) return refused("retired");
  const instance = world.instance(pass.sandboxId, instanceId);
  if (instance?.frozen === true) return "unread";
  if (instance === null || !instance.listens) return refused("unreachable");
  return isKey ? instance.serve(request) : refused("unauthorized");
}

function refused(code: TrafficRefusal): Served {
  return { type: "refused", code };
}

function refusal(code: TrafficRefusal): Response {
  return new Response(null, { status: trafficRefusals[code], headers: { [trafficHeaders.refused]: code } });
}
