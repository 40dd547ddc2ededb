/**
 * `node wrapper.js guardian`: boot document on stdin, see src/protocol/sandbox/wrapper.ts. The role `wrapper` is for the guardian; `agent` is both in one, in
 * a container of its own, where PID 1 watches it (alone.ts). The role `services` is for the wrapper (traffic/service-process.ts).
 * Each role loads only its own half of the bundle.
 *
 * Environment: MOORING_PORT (default 0, a free one), MOORING_BIND (default 127.0.0.1; 0.0.0.0 in a container).
 */
import { closeInheritedDescriptors } from "../proc/inherited-descriptors.ts";
import { exitCodes } from "./exit-codes.ts";

async function main(role: string | undefined): Promise<void> {
  if (role === "guardian") {
    const { runGuardian } = await import("./guardian.ts");
    return runGuardian();
  }
  if (role === "wrapper") {
    const { runWrapper } = await import("./wrapper.ts");
    return runWrapper();
  }
  if (role === "agent") {
    const { runAlone } = await import("./alone.ts");
    return runAlone();
  }
  if (role === "services") {
    const { runServices } = await import("./services/services.ts");
    return runServices();
  }
  process.stderr.write("usage: node wrapper.js guardian < boot.json\n");
  process.exit(exitCodes.badBoot);
}

closeInheritedDescriptors();
// The terminal that started a guardian may go away; the lease decides, not the terminal.
process.on("SIGHUP", () => {});
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

main(process.argv[2]).catch((error: unknown) => {
  process.stderr.write(`mooring wrapper: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(exitCodes.crashed);
});
