/** Starts a client's program: with pipes, or in a terminal. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Socket } from "node:net";
import type { z } from "zod";
import type { startProcess } from "../../../../src/protocol/resources/sandbox/processes.ts";
import { startFailure } from "../../jobs/start-failure.ts";
import { ServiceFailure } from "../service-failure.ts";
import type { OutputRing } from "./output-ring.ts";
import type { PipeShelf } from "./pipe-shelf.ts";
import { openTerminal, type Exit, type Terminal } from "./terminal.ts";

export type ProcessOrder = z.output<typeof startProcess>;

export interface ProcessPlan {
  readonly order: ProcessOrder;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The entry of its environment that its processes have and no others. */
  readonly entry: string;
  readonly user: string;
}

export interface Running {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Resolves when nobody holds its output open. */
  readonly drained: Promise<void>;
  readonly pause: (pause: boolean) => void;
  readonly closeOutput: () => void;
  readonly stdin: Socket | null;
  readonly terminal: Terminal | null;
}

interface Started {
  readonly running: Running;
  readonly listen: (ring: OutputRing) => void;
}

export async function startProgram(plan: ProcessPlan, shelf: PipeShelf | null): Promise<Started> {
  const { terminal } = plan.order;
  return terminal === undefined ? spawned(plan, shelf) : inTerminal(await openTerminal({ ...terminal, ...plan }));
}

async function spawned(plan: ProcessPlan, shelf: PipeShelf | null): Promise<Started> {
  const pipes = shelf === null ? null : await pipesOf(shelf, plan.order.stdin === true);
  const nothing = plan.order.stdin === true ? null : openSync("/dev/null", "r");
  try {
    const child = spawn(plan.argv[0] ?? "", plan.argv.slice(1), {
      cwd: plan.cwd,
      env: plan.environment,
      detached: true,
      stdio: [
        nothing ?? pipes?.stdin?.childs ?? "pipe",
        pipes?.stdout.childs ?? "pipe",
        pipes?.stderr.childs ?? "pipe",
      ],
    });
    const exited = exitOf(child);
    if (child.pid === undefined) throw await whyNot(child, plan);
    const stdout = pipes?.stdout.ours ?? (child.stdout as unknown as Socket);
    const stderr = pipes?.stderr.ours ?? (child.stderr as unknown as Socket);
    const stdin = plan.order.stdin === true ? (pipes?.stdin?.ours ?? (child.stdin as unknown as Socket)) : null;
    stdin?.on("error", () => {});
    const outputs = [stdout, stderr];
    const drained = Promise.all(outputs.map((each) => new Promise((resolve) => each.once("close", resolve))));
    return {
      running: {
        pid: child.pid ?? 0,
        exited,
        drained: drained.then(() => {}),
        pause: (stop) => outputs.forEach((each) => (stop ? each.pause() : each.resume())),
        closeOutput: () => outputs.forEach((each) => each.destroy()),
        stdin,
        terminal: null,
      },
      listen: (ring) => {
        for (const each of outputs) each.on("error", () => each.destroy());
        stdout.on("data", (bytes: Buffer) => ring.append("stdout", bytes));
        stderr.on("data", (bytes: Buffer) => ring.append("stderr", bytes));
      },
    };
  } catch (error) {
    for (const pipe of [pipes?.stdin, pipes?.stdout, pipes?.stderr]) pipe?.ours.destroy();
    throw error;
  } finally {
    for (const pipe of [pipes?.stdin, pipes?.stdout, pipes?.stderr])
      if (pipe !== null && pipe !== undefined) closeSync(pipe.childs);
    if (nothing !== null) closeSync(nothing);
  }
}

async function pipesOf(shelf: PipeShelf, withStdin: boolean) {
  const [stdout, stderr, stdin] = await Promise.all([
    shelf.forOutput(),
    shelf.forOutput(),
    withStdin ? shelf.forInput() : null,
  ]);
  return { stdout, stderr, stdin };
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    // Without a pid it says why; with one it is about a signal that could not be sent.
    if (child.pid !== undefined) child.on("error", () => {});
  });
}

async function whyNot(child: ChildProcess, plan: ProcessPlan): Promise<ServiceFailure> {
  const error = await new Promise<Error>((resolve) => child.once("error", resolve));
  const attempted = { file: plan.argv[0] ?? "", directory: plan.cwd, environment: plan.environment, user: null };
  return new ServiceFailure("cannot_start", startFailure(error, attempted).message);
}

function inTerminal(terminal: Terminal): Started {
  return {
    running: {
      pid: terminal.pid,
      exited: terminal.exited,
      drained: terminal.drained,
      pause: terminal.pause,
      closeOutput: terminal.close,
      stdin: null,
      terminal,
    },
    listen: (ring) => terminal.onData((bytes) => ring.append("terminal", bytes)),
  };
}
