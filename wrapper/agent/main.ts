/**
 * `node wrapper.js guardian`: boot document on stdin, see src/protocol/sandbox/wrapper.ts. The role `wrapper` is for the guardian; `agent` is both in one, in
 * a container of its own, where PID 1 watches it (one-process-agent.ts).
 *
 * This file is the guardian, which must be small. The code of the other roles comes later in the same bundle, and is read only when needed
 * (program-parts.ts).
 *
 * Environment: MOORING_PORT (default 0, a free one), MOORING_BIND (default 127.0.0.1; 0.0.0.0 in a container).
 */
import { begin } from "./begin.ts";
import { exitCodes } from "./exit-codes.ts";
import { runGuardian } from "./guardian/guardian.ts";

begin(async () => {
  const [, , role] = process.argv;
  if (role === "guardian") return runGuardian();
  if (role === "wrapper" || role === "agent") {
    const { loadAgent } = await import("./program-parts.ts");
    return loadAgent()[role]();
  }
  process.stderr.write("usage: node wrapper.js guardian < boot.json\n");
  process.exit(exitCodes.badBoot);
});
