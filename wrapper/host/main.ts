/**
 * The local sandbox host: `LOCAL_HOST_TOKEN=… node wrapper/host/main.ts --port N --state DIR`.
 *
 * Prints one line `{"url", "host_id"}` once it listens. SIGTERM and SIGINT end the host and leave its sandboxes running:
 * guardians have kernel sessions of their own, and the next start finds them. With `--end-all-on-exit` the first signal
 * also ends every sandbox, and the exit code is 1 when one could not be ended; a second signal exits at once.
 */
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import { Faults } from "./http/faults.ts";
import { parseJobUserRange, type JobUserRange } from "./processes/job-users.ts";
import { createHostServer } from "./http/host-server.ts";
import { closeInheritedDescriptors } from "../proc/inherited-descriptors.ts";
import { SandboxHost } from "./sandbox-host.ts";

const usage = `usage: LOCAL_HOST_TOKEN=<32 characters or more> node wrapper/host/main.ts --port N --state DIR
  --wrapper FILE          the bundled wrapper (dist/wrapper.js)
  --quota-bytes N         refuse launches and saves once sandboxes and snapshots take this much disk
  --job-uids FIRST-LAST   jobs run as users of their own, a number from this range for each sandbox; needs root
                          (without it jobs run as the user who started this host)
  --end-all-on-exit       end every sandbox before exiting
  --forget-control-plane  serve the next control plane that calls, not the one served before
  --no-cgroups            make no control groups, even where the kernel allows it (tests)
  --faults                allow POST /faults (tests)
  --age-ms N              with --faults: what lies on disk looks that much older to a reclaim (tests)
  --scan-delay-ms N       with --faults: stay in 503 scanning for this long (tests)`;

function refuse(why: string): never {
  process.stderr.write(`${why}\n${usage}\n`);
  process.exit(2);
}

function options() {
  if (process.argv.includes("--help") || process.argv.includes("-h")) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs({
      options: {
        port: { type: "string" },
        state: { type: "string" },
        wrapper: { type: "string", default: fileURLToPath(new URL("../../dist/wrapper.js", import.meta.url)) },
        "quota-bytes": { type: "string" },
        "job-uids": { type: "string" },
        "end-all-on-exit": { type: "boolean", default: false },
        "forget-control-plane": { type: "boolean", default: false },
        "no-cgroups": { type: "boolean", default: false },
        faults: { type: "boolean", default: false },
        "age-ms": { type: "string", default: "0" },
        "scan-delay-ms": { type: "string", default: "0" },
      },
    }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : "The arguments are wrong.");
  }
}

function wholeNumber(name: string, text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : refuse(`--${name} must be a whole number, not "${text}".`);
}

function userRange(text: string): JobUserRange {
  return parseJobUserRange(text) ?? refuse(`--job-uids must be FIRST-LAST, like 70000-70999, not "${text}".`);
}

// Sandboxes would inherit them from here, and with them what the shell or supervisor that started this host holds open.
closeInheritedDescriptors();
const given = options();
const token = process.env["LOCAL_HOST_TOKEN"] ?? "";
if (token.length < 16) refuse("LOCAL_HOST_TOKEN must be set, to 16 characters or more.");
if (given.port === undefined || given.state === undefined) refuse("--port and --state are needed.");
if (process.platform !== "linux") refuse("The local host needs /proc, so it runs on Linux only.");

const host = openHost(resolve(given.state));
const server = createHostServer(host, token, given.faults ? new Faults() : null);
server.on("error", (error) => {
  host.close();
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
server.listen(wholeNumber("port", given.port), "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}`, host_id: host.state.hostId })}\n`);
  void begin();
});

function openHost(stateDirectory: string): SandboxHost {
  try {
    return new SandboxHost({
      stateDirectory,
      wrapperFile: resolve(given.wrapper),
      version: "0.1.0",
      keepControlPlane: !given["forget-control-plane"],
      cgroups: given["no-cgroups"] ? "never" : "possible",
      agedMs: given.faults ? wholeNumber("age-ms", given["age-ms"]) : 0,
      jobUsers: given["job-uids"] === undefined ? null : userRange(given["job-uids"]),
      quotaBytes: given["quota-bytes"] === undefined ? null : wholeNumber("quota-bytes", given["quota-bytes"]),
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : "The state directory cannot be used.");
  }
}

async function begin(): Promise<void> {
  if (given.faults) await pause(wholeNumber("scan-delay-ms", given["scan-delay-ms"]));
  host.start();
}

let ending = false;
async function end(): Promise<void> {
  if (ending) process.exit(1);
  ending = true;
  const left = given["end-all-on-exit"] ? await host.endAll(10_000) : 0;
  server.close();
  server.closeAllConnections();
  host.close();
  if (left > 0) process.stderr.write(`${left} processes could not be ended.\n`);
  process.exit(left > 0 ? 1 : 0);
}
process.on("SIGTERM", () => void end());
process.on("SIGINT", () => void end());
