/** How the client reaches Mooring, whoever asks. */
import { type RetryTerms, usualRetry } from "./pacing.ts";
import { Transport } from "./transport.ts";

/** The text itself, or where to get it before each try (for keys that rotate). */
export type Credential = string | (() => string | Promise<string>);

export interface ConnectionOptions {
  /** Where Mooring is: `https://mooring.example.com`, with the path below which it is served, if there is one. */
  readonly url: string;
  /** Instead of the global one: a service binding's, or one that goes through a proxy. */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined;
  /** Five tries, pauses of up to 10 s, when left out. `{ attempts: 1 }` repeats nothing. */
  readonly retry?: Partial<RetryTerms> | undefined;
  /** For one try, ms, beyond what the call itself waits; 30 s when left out. */
  readonly timeoutMs?: number | undefined;
}

/** Throws a TypeError on what can never be reached. Without a slash at its end. */
function baseOf(url: string): string {
  if (typeof url !== "string" || url === "")
    throw new TypeError("`url` is missing: say where Mooring is, for example http://127.0.0.1:8787.");
  const hint = /^[\w.-]+(:\d+)?(\/|$)/.test(url) ? ` Did you mean http://${url}?` : "";
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new TypeError(`\`url\` must be an absolute http or https address, not ${JSON.stringify(url)}.${hint}`);
  const { origin, pathname, username } = new URL(url);
  if (username !== "")
    throw new TypeError("`url` must hold no user name and password; the key goes into its own option.");
  return origin + pathname.replace(/\/+$/, "");
}

export function connect(options: ConnectionOptions, credential: Credential): Transport {
  return new Transport({
    url: baseOf(options.url),
    credential,
    // Wrapped: called as a method of something else, some runtimes' fetch is an illegal invocation.
    fetch: options.fetch ?? ((request) => fetch(request)),
    retry: { ...usualRetry, ...options.retry },
    timeoutMs: options.timeoutMs ?? 30_000,
  });
}
