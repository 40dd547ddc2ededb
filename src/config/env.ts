/**
 * What the platform binds to the Worker: namespaces, vars, secrets. Only `config.ts` reads vars and secrets; only the
 * composition root and the objects' shells read bindings, and CONTAINER_IMAGE. Everyone else gets what they need handed in.
 * The namespaces are untyped here: an adapter casts a stub to its API once, so that this file depends on no object.
 */
import type { plainVars, secretVars } from "./var-names.ts";

/** `--var` and wrangler.toml give text; a test may bind a number. */
type Var = string | number | undefined;
type Secret = string | undefined;

/** What `config.ts` reads. */
export type ConfigEnv = { readonly [Name in (typeof plainVars)[number]]?: Var } & {
  readonly [Name in (typeof secretVars)[number]]?: Secret;
};

export interface Env extends ConfigEnv {
  readonly SESSIONS: DurableObjectNamespace;
  readonly TENANTS: DurableObjectNamespace;
  readonly SHARDS: DurableObjectNamespace;
  readonly CONTROL: DurableObjectNamespace;
  /** The files of the docs page. */
  readonly ASSETS?: Fetcher;
  /** One object per container of the `cloudflare` provider. Without it, or without ASSETS, that provider is not wired. */
  readonly CONTAINERS?: DurableObjectNamespace;
  /** What containers of the `cloudflare` provider start from: the platform's managed image, or on a developer's machine one of the local engine. */
  readonly CONTAINER_IMAGE?: Var;
  /** One object per container of the `sandbox-sdk` provider. Without it that provider is not wired. */
  readonly SANDBOXES?: DurableObjectNamespace;
  /** Optional: the R2 bucket for snapshots of both container providers; without it their sessions cannot be paused. */
  readonly SNAPSHOTS?: R2Bucket;
  /** Optional: an Analytics Engine dataset. */
  readonly ANALYTICS?: AnalyticsEngineDataset;

  /** Optional: the platform's rate limits, which count over the isolates of one location (http/guard/rate-limits.ts). */
  readonly RATE_READS?: RateLimit;
  readonly RATE_WRITES?: RateLimit;
  readonly RATE_TRAFFIC?: RateLimit;
  readonly RATE_AUTH_FAILURES?: RateLimit;
}
