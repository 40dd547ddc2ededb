/** How the client reaches Mooring, whoever asks. */
import { type RetryTerms, usualRetry } from "./pacing.ts";
import { Transport } from "./transport.ts";

/** The text itself, or where to get it before each try (for keys that rotate). */
export type Credential = string | (() => string | Promise<string>);

export interface ConnectionOptions {
  /** Where Mooring is: `https://mooring.example.com`. */
  readonly url: string;
  /** Instead of the global one: a service binding's, or one that goes through a proxy. */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined;
  /** Five tries, pauses of up to 10 s, when left out. `{ attempts: 1 }` repeats nothing. */
  readonly retry?: Partial<RetryTerms> | undefined;
  /** For one try, ms, beyond what the call itself waits; 30 s when left out. */
  readonly timeoutMs?: number | undefined;
}

export function connect(options: ConnectionOptions, credential: Credential): Transport {
  return new Transport({
    url: options.url,
    credential,
    // Wrapped: called as a method of something else, some runtimes' fetch is an illegal invocation.
    fetch: options.fetch ?? ((request) => fetch(request)),
    retry: { ...usualRetry, ...options.retry },
    timeoutMs: options.timeoutMs ?? 30_000,
  });
}
