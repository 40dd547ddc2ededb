/** The tools of an API key inside a sandbox: files, programs, and servers with an address. */
import type { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type FileEntry, MooringError, type Mooring, type Session } from "../client/mooring.ts";
import { sessionIdText } from "../protocol/primitives.ts";
import { sharePort } from "../protocol/resources/sandbox/ports.ts";
import { startProcess } from "../protocol/resources/sandbox/processes.ts";
import { answered, changes, destroys, reads } from "./tool.ts";

const session_id = sessionIdText.describe("The session's id, as create_session or list_sessions gave it.");
const path = z.string().min(1).max(4_096).describe("Absolute, or relative to the session's workspace.");

/** As much as an agent takes in at once. */
const mostRead = 256 * 1_024;
const mostEntries = 500;
const mostOutput = 64 * 1_024;
/** How long a server may take to begin to listen. After that the tool says so; the server may still come up. */
const listenWithinMs = 30_000;
const lookMs = 500;

export function insideTools(server: McpServer, mooring: Mooring): void {
  server.registerTool(
    "list_files",
    {
      title: "List files",
      description:
        "What is in a directory of the sandbox, with sizes. Free; resumes a paused session that resumes by itself.",
      inputSchema: z.strictObject({
        session_id,
        path: path.default("."),
        depth: z.int().min(1).max(10).default(1).describe("How many levels."),
      }),
      annotations: reads,
    },
    ({ session_id: id, path: at, depth }) =>
      answered(async () => {
        const entries: object[] = [];
        for await (const entry of mooring.session(id).files.list(at, { depth })) {
          if (entries.length === mostEntries)
            return { entries, says: `There are more than ${mostEntries}: list a directory below.` };
          entries.push(shortened(entry));
        }
        return { entries };
      }),
  );

  server.registerTool(
    "read_file",
    {
      title: "Read a file",
      description: `A text file of the sandbox, ${mostRead / 1_024} kB at most at once. Free; resumes a paused session that resumes by itself.`,
      inputSchema: z.strictObject({
        session_id,
        path,
        offset: z.int().min(0).default(0).describe("The byte to begin at."),
        bytes: z.int().min(1).max(mostRead).default(mostRead).describe("How many at most."),
      }),
      annotations: reads,
    },
    ({ session_id: id, path: at, offset, bytes }) =>
      answered(async () => {
        const { files } = mooring.session(id);
        const { size } = await files.stat(at);
        // Of nothing no range can be asked for.
        if (size <= offset) return { size, offset, text: "" };
        const read = await files.read(at, { range: { from: offset, to: offset + bytes - 1 } });
        if (read.includes(0)) return { size, says: "It is no text. Look at it with run_command, for example `file`." };
        const whole = offset + read.length < size ? wholeCharacters(read) : read;
        return { size, offset, next_offset: offset + whole.length, text: new TextDecoder().decode(whole) };
      }),
  );

  server.registerTool(
    "write_file",
    {
      title: "Write a file",
      description:
        "Writes a text file in the sandbox, with the directories above it. One of that name is replaced, which CANNOT BE UNDONE, unless `replace` is false.",
      inputSchema: z.strictObject({
        session_id,
        path,
        content: z.string().max(1_000_000).describe("The whole file."),
        executable: z.boolean().default(false).describe("true: it can be run."),
        replace: z.boolean().default(true).describe("false: only when there is none of that name."),
      }),
      annotations: destroys,
    },
    ({ session_id: id, path: at, content, executable, replace }) =>
      answered(async () => {
        const mode = executable ? 0o755 : undefined;
        return shortened(
          await mooring.session(id).files.write(at, content, { mode, ...(replace ? {} : { ifMatch: null }) }),
        );
      }),
  );

  server.registerTool(
    "exec",
    {
      title: "Run a short program",
      description:
        "Runs a program and answers with standard output and standard error apart, and its exit code. For what takes seconds and needs no record; use run_command for what takes longer. What it changes in the sandbox CANNOT BE UNDONE.",
      inputSchema: z.strictObject({
        session_id,
        command: z.string().min(1).max(8_000).describe("A shell command, run by `sh -c`."),
        cwd: startProcess.shape.cwd,
        env: startProcess.shape.env,
        timeout_seconds: z.int().min(1).max(50).default(30).describe("End it after this time."),
      }),
      annotations: { ...destroys, openWorldHint: true },
    },
    ({ session_id: id, command, ...order }) =>
      answered(async () => {
        const { stdout, stderr, exitCode, signal, timedOut } = await mooring.session(id).exec(command, order);
        return {
          exit_code: exitCode,
          signal,
          timed_out: timedOut,
          stdout: stdout.slice(-mostOutput),
          stderr: stderr.slice(-mostOutput),
        };
      }),
  );

  server.registerTool(
    "list_ports",
    {
      title: "List ports",
      description: "The ports on which programs of the sandbox listen. Free; changes nothing.",
      inputSchema: z.strictObject({ session_id }),
      annotations: reads,
    },
    ({ session_id: id }) => answered(async () => ({ ports: await mooring.session(id).ports() })),
  );

  server.registerTool(
    "start_server",
    {
      title: "Start a server and get its URL",
      description:
        "Starts a server in the sandbox, waits until it listens, and answers with a URL that opens it in a browser until `ttl_seconds` are over. Without `command`: the URL of a server that runs already. Give the URL to nobody who must not see the server: whoever has it can open it. A server that runs holds the idle clock, so the session COSTS MONEY on until you end it.",
      inputSchema: z.strictObject({
        session_id,
        command: z
          .string()
          .min(1)
          .max(8_000)
          .optional()
          .describe("A shell command that goes on, such as `npm run dev`."),
        port: sharePort.shape.port,
        ttl_seconds: sharePort.shape.ttl_seconds,
        cwd: startProcess.shape.cwd,
        env: startProcess.shape.env,
      }),
      annotations: { ...changes, openWorldHint: true },
    },
    ({ session_id: id, command, port, ttl_seconds, ...order }) =>
      answered(async () => {
        const session = mooring.session(id);
        const pid = command === undefined ? null : (await session.start({ ...order, command })).pid;
        const says = await untilItListens(session, port, pid);
        const { url, ends_at } = await session.sharePort(port, { ttl_seconds });
        return { url, ends_at, pid, says };
      }),
  );
}

/** What there is to say. Throws when its program ended before it listened: a URL would be of no use then. */
async function untilItListens(session: Session, port: number, pid: number | null): Promise<string> {
  const until = Date.now() + listenWithinMs;
  for (;;) {
    if ((await session.ports()).some((each) => each.port === port)) return `It listens on port ${port}.`;
    if (pid !== null) {
      const { state, exit_code: code } = await session.process(pid).read();
      if (state === "ended")
        throw new ServerEnded(
          `The server ended with exit code ${code ?? "none"} and never listened on port ${port}. Run it with exec to see what it says.`,
          "start_server",
        );
    }
    if (Date.now() + lookMs > until)
      return `Nothing listens on port ${port} yet; the URL answers 502 until something does.`;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** Without the bytes of a character that the read cut in two: the next read begins with it, where both would show half of it. */
function wholeCharacters(read: Uint8Array): Uint8Array {
  // A character of UTF-8 has four bytes at most: the last one begins at most four bytes before the end.
  for (let at = read.length - 1; at >= Math.max(1, read.length - 4); at -= 1) {
    const byte = read[at] ?? 0;
    if (byte < 0x80) return read;
    if (byte < 0xc0) continue;
    const needs = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return read.length - at < needs ? read.subarray(0, at) : read;
  }
  return read;
}

class ServerEnded extends MooringError {}

function shortened({ path: at, type, size, mode, modified_at }: FileEntry): object {
  return { path: at, type, size, mode: mode.toString(8), modified_at };
}
