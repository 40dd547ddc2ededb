/** CubeSandbox's two calls on a sandbox's clock. The errors have CubeSandbox's shape, so every error is listed. */
import { type Answer, contract } from "../../contract.ts";
import { cubeRefresh, cubeReply, cubeTimeout } from "../../compat/cube.ts";

const meanings = {
  400: "130400: something in the request is not valid.",
  401: "130401: no valid API key.",
  404: "130404: there is no such sandbox.",
  409: "130409: it is paused, or lost.",
  410: "310410: it has ended.",
  413: "130400: the body is too large.",
  429: "130429: too many requests.",
  500: "130593: a mistake of Mooring's own.",
  503: "130593: not now; nothing was changed.",
} as const;

const refused: Readonly<Record<number, Answer>> = Object.fromEntries(
  Object.entries(meanings).map(([status, means]): [number, Answer] => [
    Number(status),
    {
      means,
      body: cubeReply,
      headers: status === "401" ? ["www-authenticate"] : status === "429" || status === "503" ? ["retry-after"] : [],
    },
  ]),
);

const answers = { 200: { means: "The end as it was stored.", body: cubeReply }, ...refused };
const description =
  "The end is absolute: so many seconds from now, whatever happens in between. In CubeSandbox the same seconds count idle time.";
const tenant = { access: "tenant", tag: "CubeSandbox", ownErrors: true, method: "POST", description } as const;

export const cubeContracts = {
  timeout: contract({
    ...tenant,
    operation: "cubeTimeout",
    path: "/cube/sandbox/timeout",
    summary: "Set a sandbox's end",
    body: { schema: cubeTimeout, required: true, lenient: true },
    answers,
  }),
  refresh: contract({
    ...tenant,
    operation: "cubeRefresh",
    path: "/cube/sandbox/refresh",
    summary: "Set a sandbox's end, by the default without a duration",
    body: { schema: cubeRefresh, required: true, lenient: true },
    answers,
  }),
} as const;
