/**
 * Stands in for the SDK's own server in a container: what of its RPC the provider `sandbox-sdk` uses, written from the client's side, which is
 * the SDK's real one. Runs in the container, as PID 1.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { newWebSocketRpcSession, RpcTarget } from "capnweb";
import { WebSocketServer } from "ws";

const port = 3_000;
const version = "stand-in";
const workspace = "/workspace";

interface Options {
  readonly processId?: string;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

interface Known {
  readonly id: string;
  readonly pid: number;
  readonly command: string;
  readonly startTime: Date;
  status: "running" | "completed";
}

/** Its list forgets a process whose id was used again, as the real one does. */
const known = new Map<string, Known>();

class Commands extends RpcTarget {
  execute(command: string, _session: string, options?: Options): Promise<object> {
    const timestamp = new Date().toISOString();
    const env = { ...process.env, ...options?.env };
    const child = spawn("/bin/sh", ["-c", command], { cwd: workspace, env, timeout: options?.timeoutMs });
    const out = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => (out[name] += text));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        const exitCode = code ?? 137;
        resolve({ success: exitCode === 0, exitCode, ...out, command, timestamp });
      });
    });
  }
}

class Processes extends RpcTarget {
  startProcess(command: string, _session: string, options?: Options): object {
    const id = options?.processId ?? `process-${known.size}`;
    const child = spawn("/bin/sh", ["-c", command], {
      cwd: workspace,
      env: { ...process.env, ...options?.env },
      stdio: "ignore",
      detached: true,
    });
    const one: Known = { id, pid: child.pid ?? 0, command, startTime: new Date(), status: "running" };
    known.set(id, one);
    child.once("exit", () => (one.status = "completed"));
    return { success: true, processId: id, pid: one.pid, command, timestamp: one.startTime.toISOString() };
  }

  listProcesses(): object {
    return { success: true, processes: [...known.values()], timestamp: new Date().toISOString() };
  }
}

class Files extends RpcTarget {
  writeFile(path: string, content: string): object {
    writeFileSync(path, content);
    return { success: true, path, timestamp: new Date().toISOString() };
  }
}

class Utilities extends RpcTarget {
  getVersion(): string {
    return version;
  }
}

class Main extends RpcTarget {
  // A property of an instance does not cross; a getter of the class does.
  get commands(): Commands {
    return new Commands();
  }

  get processes(): Processes {
    return new Processes();
  }

  get files(): Files {
    return new Files();
  }

  get utils(): Utilities {
    return new Utilities();
  }
}

const server = createServer((_, response) => response.end("{}"));
new WebSocketServer({ server, path: "/rpc" }).on("connection", (socket) => {
  newWebSocketRpcSession(socket as never, new Main());
});
server.listen(port, "0.0.0.0");
// PID 1 has no signal handlers of the system's.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
