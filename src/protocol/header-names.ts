/** The headers that mean something in this API, each once: name, form, words. */
import { z } from "zod";
import { limits } from "./primitives.ts";

export const requestHeaders = {
  prefer: z
    .string()
    .max(200)
    .meta({
      description:
        "`wait=N`: hold the answer until there is something to tell, at most N seconds (60). What else it says is ignored.",
      examples: ["wait=10"],
    }),
  "idempotency-key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, `1 to ${limits.idempotencyKey} visible ASCII characters without spaces.`)
    .meta({
      description:
        "Makes a repeat safe: the same key with the same body is the same session, started once. It holds for as long as the session's record is kept.",
      examples: ["build-42"],
    }),
  "if-match": z
    .string()
    .max(60)
    .meta({
      description: "The `ETag` of what you decided on, or `*`. Required: without it the answer is 428.",
      examples: ['"7"'],
    }),
  "if-none-match": z
    .string()
    .max(200)
    .meta({
      description: "An `ETag` that you have: answered with 304 when nothing changed.",
      examples: ['"7"'],
    }),
  "last-event-id": z
    .string()
    .regex(/^\d{1,15}$/, "A whole number from 0.")
    .meta({ description: "The id of the last event that arrived: the stream goes on after it.", examples: ["42"] }),
  range: z
    .string()
    .max(100)
    .meta({
      description: "One range of bytes. Several at once are answered with the whole.",
      examples: ["bytes=0-1023"],
    }),
  "e2b-sandbox-id": z.string().max(64).meta({ description: "Which sandbox is meant. Required." }),
} as const;
export type RequestHeaderName = keyof typeof requestHeaders;

export const responseHeaders = {
  "x-request-id": z.string().meta({ description: "Names this request in Mooring's log. Yours, when you sent one." }),
  location: z.string().meta({ description: "The path of what was made." }),
  "set-cookie": z.string().meta({ description: "A cookie of the console, for a browser." }),
  etag: z.string().meta({ description: "The version of what is answered, for If-None-Match and If-Match." }),
  "last-modified": z.string().meta({ description: "When the file was written last." }),
  "accept-ranges": z.literal("bytes").meta({ description: "Parts of it may be asked for." }),
  "content-range": z.string().meta({ description: "Which bytes these are, and of how many." }),
  "idempotency-replayed": z
    .literal("true")
    .meta({ description: "There is one: this had been made by an earlier request." }),
  "preference-applied": z.string().meta({ description: "How long the answer was held at most, as applied." }),
  "retry-after": z
    .string()
    .regex(/^[1-9]\d*$/)
    .meta({ description: "Seconds until it is worth asking again." }),
  "www-authenticate": z.string().meta({ description: "How to authenticate." }),
  // draft-ietf-httpapi-ratelimit-headers-10.
  "ratelimit-policy": z.string().meta({
    description: "How often this tenant may ask, by budget: `q` requests in `w` seconds.",
    examples: ['"reads";q=1000;w=10, "writes";q=300;w=10'],
  }),
  ratelimit: z.string().meta({
    description: "How the budget of this request stands: `r` requests left, `t` seconds until it is whole again.",
    examples: ['"reads";r=994;t=7'],
  }),
  "mooring-offset": z.string().regex(/^\d+$/).meta({
    description: "The byte of the output at which this answer begins; later than asked when the older bytes are gone.",
  }),
  "x-accel-buffering": z.literal("no").meta({ description: "A proxy must pass this stream on as it comes." }),
  "x-next-token": z.string().meta({ description: "There is more: send it as `nextToken`." }),
  "x-next-cursor": z.string().meta({ description: "There is more: send it as `cursor`." }),
} as const;
export type ResponseHeaderName = keyof typeof responseHeaders;
