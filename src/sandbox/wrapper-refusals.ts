/** What each refusal of a wrapper means to a session, whatever way it came. A wrapper refuses before it acts, except when something broke inside. */
import type { ProviderFailureCode } from "../domain/state/failure.ts";
import type { WrapperError } from "../protocol/sandbox/wrapper.ts";

export const wrapperRefusals: {
  readonly [Code in WrapperError["code"]]: {
    readonly code: ProviderFailureCode;
    readonly effect: "none" | "unknown";
  };
} = {
  unauthorized: { code: "foreign_instance", effect: "none" },
  // It proved the secret and yet says that our fencing token is another's: not the instance that we mean.
  wrong_generation: { code: "foreign_instance", effect: "none" },
  stale_renewal: { code: "invalid", effect: "none" },
  not_renewed: { code: "not_ready", effect: "none" },
  draining: { code: "not_ready", effect: "none" },
  preparing: { code: "not_ready", effect: "none" },
  job_mismatch: { code: "invalid", effect: "none" },
  job_ended: { code: "job_ended", effect: "none" },
  not_found: { code: "not_found", effect: "none" },
  too_many_jobs: { code: "no_capacity", effect: "none" },
  stdin_full: { code: "stdin_full", effect: "none" },
  invalid: { code: "invalid", effect: "none" },
  internal: { code: "unavailable", effect: "unknown" },
};
