/** Health, metrics, and this API's own description. */
import { z } from "zod";
import { contract } from "../contract.ts";

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
    problems: ["unavailable"],
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

const docsFile = z.string().meta({ description: "A file that the page names." });
const docsMedia = { "text/javascript": "text", "text/css": "text", "image/png": "bytes" } as const;

/** For a browser, not for the client. */
export const docsContracts = {
  page: contract({
    ...service,
    operation: "getDocs",
    method: "GET",
    path: "/docs",
    summary: "This document as a page",
    answers: { 200: { means: "For a browser.", media: { "text/html": "text" } } },
  }),
  file: contract({
    ...service,
    operation: "getDocsFile",
    method: "GET",
    path: "/docs/:file",
    summary: "A file of the page",
    parameters: { file: docsFile },
    answers: { 200: { means: "The file.", media: docsMedia } },
    problems: ["not_found"],
  }),
  vendor: contract({
    ...service,
    operation: "getDocsVendorFile",
    method: "GET",
    path: "/docs/vendor/:file",
    summary: "A file of the page's library",
    parameters: { file: docsFile },
    answers: { 200: { means: "The file.", media: docsMedia } },
    problems: ["not_found"],
  }),
} as const;
