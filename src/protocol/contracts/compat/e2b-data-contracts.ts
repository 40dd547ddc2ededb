/**
 * E2B's data plane: the calls that its SDK makes into a sandbox. They speak the Connect protocol with JSON
 * (src/protocol/compat/connect.ts). The messages are E2B's own and are passed on to the sandbox.
 */
import { z } from "zod";
import { connectError, streamType } from "../../compat/connect.ts";
import { type Answer, contract } from "../../contract.ts";

const access = { access: "sandbox", tag: "E2B", ownErrors: true } as const;

export const restError = z.object({ code: z.int(), message: z.string() });

const unaryMeanings: Readonly<Record<number, string>> = {
  400: "The message is not valid; the text says what is wrong with it.",
  401: "The token is not valid for this sandbox, or the Linux user is not its own.",
  403: "Closed to the user of the sandbox.",
  404: "There is no such process, file or watcher.",
  409: "It exists already.",
  429: "Too much at once.",
  500: "It failed in the sandbox, or a mistake of Mooring's own.",
  501: "There is no such call here.",
  503: "The sandbox does not run, or does not answer.",
  504: "Not within the time that the client gave.",
};

const unaryErrors = errorsOf(unaryMeanings, connectError);

const restMeanings: Readonly<Record<number, string>> = {
  400: "The path, the user or the body is not valid; the message says why.",
  401: "The token or the signature is not valid, or has ended.",
  404: "There is no such file.",
  412: "A precondition does not hold.",
  413: "The body is larger than 5 GiB.",
  416: "The file is shorter than the range.",
  429: "Too many requests.",
  500: "It failed in the sandbox, or a mistake of Mooring's own.",
  502: "The sandbox does not run, or does not answer.",
  507: "No space is left in the sandbox.",
};

const restErrors = errorsOf(restMeanings, restError);

function errorsOf(meanings: Readonly<Record<number, string>>, body: z.ZodType): Readonly<Record<number, Answer>> {
  const headers = ["www-authenticate", "retry-after"] as const;
  return Object.fromEntries(
    Object.entries(meanings).map(([status, means]): [number, Answer] => [Number(status), { means, body, headers }]),
  );
}

const call = {
  ...access,
  method: "POST",
  body: "stream",
  headers: ["e2b-sandbox-id"],
  answers: {
    200: {
      means:
        "The answer of a unary call as JSON. A stream is a sequence of envelopes, and its errors are in the last one: its status is always this.",
      media: { "application/json": "text", [streamType]: "bytes" },
    },
    ...unaryErrors,
  },
} as const;

const fileHeaders = ["etag"] as const;
const signed =
  "By the token of the sandbox in `X-Access-Token`, or with `signature` and `signature_expiration` in the query, as the SDK's `downloadUrl` and `uploadUrl` make them.";
const fileQuery = z.object({
  path: z.string().optional().describe("Absolute, relative to the workspace, or `~`."),
  username: z.string().optional().describe("The Linux user of the sandbox: `user`, or left out."),
  signature: z.string().optional().describe("`v1_` and the digest of path, operation, user and token."),
  signature_expiration: z.string().optional().describe("Epoch seconds."),
});

export const e2bDataContracts = {
  process: contract({
    ...call,
    operation: "e2bProcess",
    path: "/process.Process/:method",
    parameters: {
      method: z
        .string()
        .regex(/^[A-Za-z]+$/)
        .describe("The call's name."),
    },
    summary: "Commands and terminals of E2B's SDK",
    description:
      "`Start`, `Connect` (streams), `List`, `SendInput`, `CloseStdin`, `SendSignal`, `Update`. What `sandbox.commands`, `sandbox.pty` and `sandbox.git` call.",
  }),
  filesystem: contract({
    ...call,
    operation: "e2bFilesystem",
    path: "/filesystem.Filesystem/:method",
    parameters: {
      method: z
        .string()
        .regex(/^[A-Za-z]+$/)
        .describe("The call's name."),
    },
    summary: "Files of E2B's SDK, but for their contents",
    description:
      "`Stat`, `ListDir`, `MakeDir`, `Move`, `Remove`, `WatchDir` (a stream), `CreateWatcher`, `GetWatcherEvents`, `RemoveWatcher`.",
  }),
  read: contract({
    ...access,
    operation: "e2bReadFile",
    method: "GET",
    path: "/files",
    summary: "Read a file (E2B)",
    description: signed,
    query: fileQuery,
    headers: ["e2b-sandbox-id"],
    answers: {
      200: { means: "The file.", media: { "application/octet-stream": "bytes" }, headers: fileHeaders },
      206: {
        means: "The range that was asked for.",
        media: { "application/octet-stream": "bytes" },
        headers: fileHeaders,
      },
      304: { means: "Not changed." },
      ...restErrors,
    },
  }),
  write: contract({
    ...access,
    operation: "e2bWriteFiles",
    method: "POST",
    path: "/files",
    summary: "Write files (E2B)",
    description: `${signed} A form whose parts \`file\` have paths as their file names, or one file as \`application/octet-stream\`.`,
    query: fileQuery,
    headers: ["e2b-sandbox-id"],
    body: "stream",
    answers: {
      200: {
        means: "Written, in the order of the request.",
        body: z.array(
          z.object({
            name: z.string(),
            path: z.string(),
            type: z.literal("file"),
            metadata: z.record(z.string(), z.string()).optional(),
          }),
        ),
      },
      ...restErrors,
    },
  }),
} as const;
