/** What the functions that carry out steps work with. Made once for each session's object. */
import type { Generation } from "../../domain/state/ids.ts";
import type { PendingCreate } from "../commands/life/pending-create.ts";
import type { JobResults } from "../jobs/job-results.ts";
import type { SessionPorts } from "../ports.ts";
import type { SessionSecrets } from "../records/secrets.ts";
import type { Reporter } from "../reports/reporter.ts";
import type { SessionState } from "../session-state.ts";
import type { ProviderCalls } from "./provider-calls.ts";

export interface StepContext {
  readonly ports: SessionPorts;
  readonly state: SessionState;
  readonly calls: ProviderCalls;
  readonly jobs: JobResults;
  readonly secrets: SessionSecrets;
  readonly reporter: Reporter;
  readonly pendingCreate: PendingCreate;
  /**
   * The version of each wrapper's last reply about its workspace. In memory only: without it the next question is answered
   * at once.
   */
  readonly workspaceVersions: Map<Generation, number>;
}
