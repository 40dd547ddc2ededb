/** Health, metrics, and this API's own description. */
import { z } from "zod";
import { contract } from "../../contract.ts";

const service = { access: "open", tag: "Service" } as const;

export const serviceContracts = {
  alive: contract({
    ...service,
    operation: "getHealth",
    method: "GET",
    path: "/healthz",
    summary: "The code runs",
    answers: { 200: { means: "It does.", body: z.object({ status: z.literal("alive") }) } },
  }),
  ready: contract({
    ...service,
    operation: "getReadiness",
    method: "GET",
    path: "/readyz",
    summary: "A create could be served right now",
    answers: { 200: { means: "It could.", body: z.object({ status: z.literal("ready"), provider: z.string() }) } },
    description: "Reasons are named, without values and addresses. With the admin token they are told in full.",
    problems: ["unavailable", "draining", "rate_limited"],
  }),
  openapi: contract({
    ...service,
    operation: "getOpenApi",
    method: "GET",
    path: "/openapi.json",
    summary: "This document",
    answers: { 200: { means: "OpenAPI 3.1.", body: z.looseObject({ openapi: z.string() }) } },
  }),
  metrics: contract({
    access: "admin",
    tag: "Service",
    operation: "getMetrics",
    method: "GET",
    path: "/metrics",
    summary: "Prometheus text",
    answers: { 200: { means: "The whole fleet.", media: { "text/plain": "text" } } },
  }),
} as const;

/** For a browser, not for the client. */
export const docsContracts = {
  root: contract({
    ...service,
    operation: "getRoot",
    method: "GET",
    path: "/",
    summary: "Where to go from here",
    answers: {
      200: {
        means: "Paths of this Mooring.",
        body: z.object({
          name: z.literal("Mooring").describe("Whose API this is."),
          docs: z.string().describe("The API to read and try."),
          openapi: z.string().describe("Its OpenAPI document."),
          health: z.string().describe("Whether the code runs."),
          ready: z.string().describe("Whether a create could be served."),
        }),
      },
      302: { means: "A browser is sent to the docs page.", headers: ["location"] },
    },
  }),
  page: contract({
    ...service,
    operation: "getDocs",
    method: "GET",
    path: "/docs",
    summary: "The docs",
    answers: { 200: { means: "Their first page, for a browser.", media: { "text/html": "text" } } },
    problems: ["not_found"],
  }),
  file: contract({
    ...service,
    operation: "getDocsFile",
    method: "GET",
    path: "/docs/:file",
    summary: "A page of the docs",
    parameters: {
      file: z
        .string()
        .meta({ description: "A page, such as `operations` or `reference`; or a file that a page names." }),
    },
    answers: {
      200: {
        means: "The page, or the file.",
        body: z.array(z.looseObject({})).describe("What the search looks through."),
        media: { "text/html": "text", "text/javascript": "text", "text/css": "text", "image/png": "bytes" },
      },
    },
    problems: ["not_found"],
  }),
} as const;
