/**
 * The descriptors of a job: named pipes, unlinked as soon as they are open.
 *
 * Not the socket pairs that Node makes: a program that opens /dev/stdout or /dev/stderr by name fails on a socket.
 * One pipe for stdout and stderr, so that the bytes come in the order in which they were written.
 */
import { execFile } from "node:child_process";
import { chownSync, closeSync, constants, openSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { promisify } from "node:util";
import type { RunAs } from "../user/job-user.ts";

const { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

export interface JobStdio {
  /** For the child; close both after the spawn. */
  readonly childStdin: number;
  readonly childOutput: number;
  /** null when stdin is closed after its text. */
  readonly stdin: Socket | null;
  readonly output: Socket;
}

export type JobStdin =
  | { readonly type: "none" }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "open"; readonly text: string };

/** `stem`: a path in the state directory that is this job's own. `owner`: whom it runs as; null: as we do. */
export async function openJobStdio(stem: string, input: JobStdin, owner: RunAs | null): Promise<JobStdio> {
  const output = `${stem}.output`;
  const stdin = `${stem}.stdin`;
  await promisify(execFile)("mkfifo", ["-m", "600", output, ...(input.type === "open" ? [stdin] : [])]);
  if (input.type === "text") writeFileSync(stdin, input.text, { mode: 0o600 });
  // To open /dev/stdout by name is to open the pipe once more, and the kernel asks whose it is.
  if (owner !== null) for (const path of input.type === "none" ? [output] : [output, stdin]) give(path, owner);
  const opened: number[] = [];
  const open = (path: string, flags: number): number => {
    const descriptor = openSync(path, flags);
    opened.push(descriptor);
    return descriptor;
  };
  try {
    // In this order no open waits for its other end, and only our own ends are non-blocking.
    const read = open(output, O_RDONLY | O_NONBLOCK);
    const childOutput = open(output, O_WRONLY);
    const { childStdin, write } = openStdin(stdin, input, open);
    return {
      childStdin,
      childOutput,
      stdin: write === null ? null : new Socket({ fd: write, readable: false, writable: true }),
      output: new Socket({ fd: read, readable: true, writable: false }),
    };
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor);
    throw error;
  } finally {
    for (const path of [output, stdin]) rmSync(path, { force: true });
  }
}

function give(path: string, { uid, gid }: RunAs): void {
  chownSync(path, uid, gid);
}

function openStdin(
  path: string,
  input: JobStdin,
  open: (path: string, flags: number) => number,
): { childStdin: number; write: number | null } {
  switch (input.type) {
    case "none":
      return { childStdin: open("/dev/null", O_RDONLY), write: null };
    case "text":
      return { childStdin: open(path, O_RDONLY), write: null };
    case "open": {
      const both = openSync(path, O_RDWR | O_NONBLOCK);
      try {
        return { childStdin: open(path, O_RDONLY), write: open(path, O_WRONLY | O_NONBLOCK) };
      } finally {
        closeSync(both);
      }
    }
  }
}
