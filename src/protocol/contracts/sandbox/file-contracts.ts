/** Files of a running sandbox. */
import { z } from "zod";
import { changeProblems, contract } from "../../contract.ts";
import type { ProblemCode } from "../../problem.ts";
import { trueOrFalse } from "../../query.ts";
import { fileChange, fileEntry, filePage, watchEnd, watchNothing } from "../../resources/sandbox/files.ts";

const tenant = { access: "tenant", tag: "Files" } as const;

/** Whatever goes to a running sandbox. */
export const sandboxProblems = [
  "session_gone",
  "session_paused",
  "sandbox_lost",
  "session_not_running",
  "sandbox_unreachable",
  "too_many_streams",
  "unsupported_by_provider",
  ...changeProblems,
] as const satisfies readonly ProblemCode[];

const pathProblems = [
  "file_not_found",
  "permission_denied",
  "not_a_directory",
  "link_loop",
  "name_too_long",
] as const satisfies readonly ProblemCode[];
const writeProblems = ["is_a_directory", "not_a_file", "already_exists", "file_busy", "disk_full"] as const;

const path = z
  .string()
  .min(1)
  .max(12_000)
  .describe(
    "Absolute, relative to the workspace, or beginning with `~/`. Percent-encoded bytes: a name need not be UTF-8.",
  );
const octalMode = z.string().regex(/^[0-7]{3,4}$/, "Three or four octal digits.");
const whole = z.string().regex(/^\d{1,6}$/, "A whole number.");
const compress = z.enum(["none", "gzip"]).optional().describe("`gzip`: packed with it. Left out: not packed.");

export const fileQueries = {
  read: z.strictObject({ path }),
  write: z.strictObject({
    path,
    mode: octalMode
      .optional()
      .describe("Permission bits in octal. Left out: those of the file that is replaced, else 644."),
    parents: trueOrFalse.optional().describe("Make the directories above it. Left out: yes."),
    metadata: z
      .string()
      .max(12_000)
      .optional()
      .describe(
        "A JSON object of texts, kept with the file as extended attributes `user.e2b.*`, in place of those it had.",
      ),
  }),
  remove: z.strictObject({ path, recursive: trueOrFalse.optional().describe("A directory with all that is in it.") }),
  stat: z.strictObject({ path, metadata: trueOrFalse.optional().describe("With `metadata`.") }),
  list: z.strictObject({
    path: path.optional().describe("Left out: the workspace."),
    depth: whole.optional().describe("How many levels, 1 when left out, 64 at most."),
    limit: whole.optional().describe("How many entries at most, 1000 when left out, 10000 at most."),
    cursor: z.string().max(12_000).optional().describe("`next_cursor` of the page before, unchanged."),
    metadata: trueOrFalse.optional().describe("With `metadata`."),
  }),
  mkdir: z.strictObject({
    path,
    mode: octalMode.optional().describe("Permission bits in octal. Left out: 755."),
    parents: trueOrFalse.optional().describe("Make those above it, and take one that is there. Left out: yes."),
  }),
  move: z.strictObject({
    from: path.describe("What is moved."),
    to: path.describe("Its new path, with the name."),
    overwrite: trueOrFalse.optional().describe("Replace what is there. Left out: yes."),
    parents: trueOrFalse.optional().describe("Make the directories above it. Left out: yes."),
  }),
  archive: z.strictObject({ path: path.optional().describe("Left out: the workspace."), compress }),
  watch: z.strictObject({
    path: path.optional().describe("A directory. Left out: the workspace."),
    recursive: trueOrFalse.optional().describe("With all directories below it, also those that come later."),
    entry: trueOrFalse.optional().describe("With the entry as it is after the change."),
  }),
} as const;

export const fileContracts = {
  read: contract({
    ...tenant,
    operation: "readFile",
    method: "GET",
    path: "/v1/sessions/:id/files",
    summary: "Read a file",
    description: "Its bytes, or with `Range` a part of them. HEAD tells size, time and `ETag` alone.",
    query: fileQueries.read,
    headers: ["range", "if-none-match"],
    answers: {
      200: {
        means: "The whole file.",
        media: { "application/octet-stream": "bytes" },
        headers: ["etag", "last-modified", "accept-ranges"],
      },
      206: {
        means: "The bytes of the range.",
        media: { "application/octet-stream": "bytes" },
        headers: ["etag", "last-modified", "accept-ranges", "content-range"],
      },
      304: { means: "It is as the `ETag` says.", headers: ["etag"] },
    },
    problems: [
      ...pathProblems,
      "is_a_directory",
      "not_a_file",
      "offset_past_end",
      "precondition_failed",
      ...sandboxProblems,
    ],
  }),
  write: contract({
    ...tenant,
    operation: "writeFile",
    method: "PUT",
    path: "/v1/sessions/:id/files",
    summary: "Write a file",
    description:
      "The body is the file, of any length. It takes the place of an older one when all of it has come: an upload that breaks off changes nothing. `If-Match` with its `ETag` keeps another's write from being lost; `If-None-Match: *` writes only a file that is not there.",
    query: fileQueries.write,
    headers: ["if-none-match"],
    body: "stream",
    answers: {
      200: { means: "It has replaced an older one.", body: fileEntry, headers: ["etag"] },
      201: { means: "It is new.", body: fileEntry, headers: ["etag"] },
    },
    problems: [...pathProblems, ...writeProblems, "precondition_failed", ...sandboxProblems],
  }),
  remove: contract({
    ...tenant,
    operation: "removeFile",
    method: "DELETE",
    path: "/v1/sessions/:id/files",
    summary: "Remove a file or a directory",
    description:
      "A directory that is not empty only with `recursive=true`. Of a link the link goes, never what it leads to.",
    query: fileQueries.remove,
    answers: { 204: { means: "It is gone." } },
    problems: [...pathProblems, "directory_not_empty", "file_busy", "precondition_failed", ...sandboxProblems],
  }),
  list: contract({
    ...tenant,
    operation: "listFiles",
    method: "GET",
    path: "/v1/sessions/:id/files/list",
    summary: "List a directory",
    description: "Sorted by name, a directory before what is in it. Links are shown as links and not followed.",
    query: fileQueries.list,
    answers: { 200: { means: "One page.", body: filePage } },
    problems: [...pathProblems, ...sandboxProblems],
  }),
  stat: contract({
    ...tenant,
    operation: "statFile",
    method: "GET",
    path: "/v1/sessions/:id/files/stat",
    summary: "Read what is known of a file",
    query: fileQueries.stat,
    answers: { 200: { means: "The entry itself: a link is not followed.", body: fileEntry } },
    problems: [...pathProblems, ...sandboxProblems],
  }),
  mkdir: contract({
    ...tenant,
    operation: "makeDirectory",
    method: "POST",
    path: "/v1/sessions/:id/files/mkdir",
    summary: "Make a directory",
    query: fileQueries.mkdir,
    body: "no fields",
    answers: {
      200: { means: "It was there.", body: fileEntry },
      201: { means: "It is made.", body: fileEntry },
    },
    problems: [...pathProblems, "already_exists", "disk_full", ...sandboxProblems],
  }),
  move: contract({
    ...tenant,
    operation: "moveFile",
    method: "POST",
    path: "/v1/sessions/:id/files/move",
    summary: "Move or rename a file or a directory",
    query: fileQueries.move,
    body: "no fields",
    answers: { 200: { means: "It is at its new path.", body: fileEntry } },
    problems: [...pathProblems, ...writeProblems, "directory_not_empty", "other_file_system", ...sandboxProblems],
  }),
  pack: contract({
    ...tenant,
    operation: "packFiles",
    method: "GET",
    path: "/v1/sessions/:id/files/archive",
    summary: "Download a directory as one archive",
    description: "A stream of tar, made while it is sent. One that breaks off is not whole.",
    query: fileQueries.archive,
    answers: {
      200: {
        means: "The directory, with paths below it.",
        media: { "application/x-tar": "bytes", "application/gzip": "bytes" },
      },
    },
    problems: [...pathProblems, ...sandboxProblems],
  }),
  unpack: contract({
    ...tenant,
    operation: "unpackFiles",
    method: "PUT",
    path: "/v1/sessions/:id/files/archive",
    summary: "Upload a directory as one archive",
    description:
      "The body is a tar. The directory is made when it is not there; files of the same name are replaced, others stay. Nothing is written outside of it. It is unpacked while it comes, so one that breaks off leaves what had come.",
    query: fileQueries.archive,
    body: "stream",
    answers: { 204: { means: "All of it is unpacked." } },
    problems: [...pathProblems, "already_exists", "disk_full", ...sandboxProblems],
  }),
  watch: contract({
    ...tenant,
    operation: "watchFiles",
    method: "GET",
    path: "/v1/sessions/:id/files/watch",
    summary: "Follow changes of a directory",
    description:
      "Server-sent events. After `ready` nothing is missed; after `overflow` look for yourself, because more changed than could be told. It is no work for the idle clock.",
    query: fileQueries.watch,
    answers: {
      200: {
        means: "Until you close it, or the directory is gone.",
        media: {
          "text/event-stream": {
            events: {
              ready: watchNothing,
              overflow: watchNothing,
              created: fileChange,
              modified: fileChange,
              attributes: fileChange,
              removed: fileChange,
              renamed: fileChange,
              end: watchEnd,
            },
          },
        },
        headers: ["x-accel-buffering"],
      },
    },
    problems: [...pathProblems, ...sandboxProblems],
  }),
} as const;
