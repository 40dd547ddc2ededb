/** The boot document: everything that a wrapper of this host is told at its start. */
import type { HostLaunchOrder } from "../../../src/protocol/sandbox/host.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import type { SandboxPaths } from "./state-directory.ts";

const maxOutputBytes = 64 * 1024 * 1024;

/** `jobUid`: the user and the group that its jobs run as; null: the host's own. */
export function bootDocument(
  instanceId: string,
  order: HostLaunchOrder,
  sandbox: SandboxPaths,
  stateDir: string,
  jobUid: number | null,
): WrapperBoot {
  return {
    session_id: order.session_id,
    instance_id: instanceId,
    generation: order.generation,
    secret: order.secret,
    launch_not_after: order.launch_not_after,
    lease_ttl_ms: order.lease_ttl_ms,
    job_grace_ms: order.job_grace_ms,
    stop_grace_ms: order.stop_grace_ms,
    workspace_dir: sandbox.workspace,
    state_dir: stateDir,
    env: order.env,
    max_output_bytes: maxOutputBytes,
    // Left out rather than null: a wrapper of an earlier release refuses fields that it does not know.
    ...(jobUid === null ? {} : { job_user: { uid: jobUid, gid: jobUid, home_dir: sandbox.home } }),
  };
}
