/** `/console`: the page for people, and how a browser signs in to it. For a browser, not for the client. */
import { z } from "zod";
import { contract } from "../../contract.ts";
import { identityView, signInBody, ticketView } from "../../resources/service/console.ts";

const service = { access: "open", tag: "Service" } as const;
const html = { 200: { means: "For a browser.", media: { "text/html": "text" } } } as const;
/** A deployment may have been built without the console's pages. */
const notBuilt = ["not_found"] as const;
const segment = z.string().meta({ description: "As the console's own links have it." });

export const consoleContracts = {
  page: contract({
    ...service,
    operation: "getConsole",
    method: "GET",
    path: "/console",
    summary: "The console",
    answers: html,
    problems: notBuilt,
  }),
  signIn: contract({
    ...service,
    operation: "signIn",
    method: "POST",
    path: "/console/login",
    summary: "Sign in to the console",
    description:
      "Gives a browser an HttpOnly, SameSite=Strict cookie in exchange for the admin token or an API key. The cookie ends after twelve hours, and when the credential is rotated or revoked. It counts only beside the header `X-Mooring-Console`, which a page of another origin cannot send.",
    body: { schema: signInBody, required: true, example: { credential: "mrg_…" } },
    answers: { 200: { means: "Signed in.", body: identityView, headers: ["set-cookie"] } },
    problems: [
      "unauthorized",
      "forbidden",
      "secret_missing",
      "rate_limited",
      "unavailable",
      "malformed_json",
      "payload_too_large",
      "unsupported_media_type",
    ],
  }),
  ticket: contract({
    ...service,
    operation: "makeTicket",
    method: "POST",
    path: "/console/ticket",
    summary: "A link that signs a browser in",
    description:
      "For a program that holds a credential and opens the console for a person: send the admin token or an API key as usual, and open `path` in a browser within a minute. The credential itself never gets into a browser's history.",
    answers: { 200: { means: "The link.", body: ticketView } },
    problems: ["unauthorized", "secret_missing", "rate_limited", "unavailable"],
  }),
  signOut: contract({
    ...service,
    operation: "signOut",
    method: "POST",
    path: "/console/logout",
    summary: "Sign out of the console",
    answers: { 204: { means: "The cookies are taken back.", headers: ["set-cookie"] } },
    problems: ["forbidden"],
  }),
  identity: contract({
    ...service,
    operation: "getIdentity",
    method: "GET",
    path: "/console/identity",
    summary: "Who is signed in to the console",
    answers: { 200: { means: "As the cookies say.", body: identityView } },
    problems: ["unavailable"],
  }),
  file: contract({
    ...service,
    operation: "getConsoleFile",
    method: "GET",
    path: "/console/assets/:file",
    summary: "A file of the console",
    parameters: { file: segment },
    answers: {
      200: {
        means: "The file.",
        media: { "text/javascript": "text", "text/css": "text", "image/svg+xml": "text" },
      },
    },
    problems: ["not_found"],
  }),
  view: contract({
    ...service,
    operation: "getConsoleView",
    method: "GET",
    path: "/console/:view",
    summary: "A view of the console",
    parameters: { view: segment },
    answers: html,
    problems: notBuilt,
  }),
  subject: contract({
    ...service,
    operation: "getConsoleSubject",
    method: "GET",
    path: "/console/:view/:subject",
    summary: "A view of one thing",
    parameters: { view: segment, subject: segment },
    answers: html,
    problems: notBuilt,
  }),
} as const;
