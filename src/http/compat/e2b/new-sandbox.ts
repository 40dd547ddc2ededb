/**
 * Translates E2B's create into Mooring's: an absolute end and no idle clock. Refuses options that Mooring could not
 * keep.
 */
import type { Policy } from "../../../domain/rules/policy.ts";
import type { E2bNewSandbox } from "../../../protocol/compat/e2b.ts";
import type { Reply } from "../../../protocol/problem.ts";
import type { CreateSession } from "../../../protocol/resources/session/sessions.ts";
import { refused } from "../../answer/problem.ts";
import { validationFailed } from "../../request/validation.ts";
import { labelsOf } from "./metadata.ts";
import { networkOf } from "./network.ts";
import { defaultTemplate } from "./view.ts";

/** E2B's default timeout, for a create without one. */
export function defaultSeconds(policy: Policy): number {
  return Math.min(300, maxSeconds(policy));
}

export function maxSeconds(policy: Policy): number {
  return Math.floor(policy.maxTimeoutMs / 1_000);
}

/** null: the time is within what is configured here. */
export function tooLong(field: string, seconds: number, policy: Policy): ReturnType<typeof validationFailed> | null {
  if (seconds <= maxSeconds(policy)) return null;
  return validationFailed([
    { pointer: `/${field}`, detail: `Must be at most ${maxSeconds(policy)} seconds, which is the longest here.` },
  ]);
}

export function createOrder(body: E2bNewSandbox, policy: Policy): Reply<CreateSession> {
  const missing = notOffered(body);
  if (missing !== null)
    return refused({
      code: "validation_failed",
      detail: `${missing} Mooring does not offer that, so nothing was made. Leave it out; docs/compat.md says what there is.`,
    });
  const seconds = body.timeout ?? defaultSeconds(policy);
  if (seconds < 1) return validationFailed([{ pointer: "/timeout", detail: "Must be at least 1 second." }]);
  const long = tooLong("timeout", seconds, policy);
  if (long !== null) return long;
  const labels = labelsOf(body.metadata ?? {}, body.templateID ?? defaultTemplate);
  if (!labels.ok) return labels;
  const network = networkOf({ ...body.network, allow_internet_access: body.allow_internet_access }, "/network");
  if (!network.ok) return network;
  return {
    ok: true,
    value: {
      timeout_seconds: seconds,
      idle_timeout_seconds: null,
      on_timeout: body.autoPause === true ? "pause" : "kill",
      // In E2B's API a lost sandbox is gone. It has no state for a session that is lost and can be rebuilt.
      on_loss: "terminate",
      auto_resume: body.autoResume?.enabled === true,
      // In E2B's API whoever knows the host name of a port may reach it, unless the create says otherwise.
      public_ports: body.network?.allowPublicTraffic !== false,
      ...(network.value === null ? {} : { network: network.value }),
      ...(body.network?.maskRequestHost == null ? {} : { port_host: body.network.maskRequestHost }),
      labels: labels.value,
      ...(body.envVars == null ? {} : { env: body.envVars }),
    },
  };
}

/** The first option that a sandbox here would not have, in words; null: none. */
function notOffered(body: E2bNewSandbox): string | null {
  if (says(body.network?.egressProxy)) return noProxy;
  if (says(body.volumeMounts)) return "`volumeMounts` asks for volumes.";
  if (says(body.iam)) return "`iam` asks for workload identity.";
  return null;
}

export const noProxy = "`egressProxy` asks for a proxy on the way out.";

/** true unless the value asks for nothing: null, false, an empty list or an empty object. */
export function says(wish: unknown): boolean {
  if (wish === undefined || wish === null || wish === false) return false;
  return typeof wish !== "object" || Object.keys(wish).length > 0;
}
