/**
 * Custom spans of Workers tracing: `[observability.traces]` in wrangler.toml turns the tracing on, and the platform adds spans of its own for
 * calls of objects, fetches and storage. A runtime without the API runs what it is given without a span.
 */
import { tracing } from "cloudflare:workers";
import type { SpanFacts, Spans } from "../session/trace.ts";

type Enter = Pick<Tracing, "enterSpan">;

export function platformSpans(api: Enter | undefined = tracing): Spans {
  if (typeof api?.enterSpan !== "function") return { in: (_name, body) => body(() => {}) };
  return {
    in: (name, body) =>
      api.enterSpan(name, (span) => {
        const note = (facts: SpanFacts): void => {
          for (const [key, value] of Object.entries(facts)) span.setAttribute(key, value);
        };
        return body(note);
      }),
  };
}
