/** One session, put together: the parts over one state, and the answers to everything that is asked of it. */
import { CommandContext } from "./command-context.ts";
import { Creation } from "./life/creation.ts";
import { SessionEngine } from "../engine.ts";
import { DrillCommands } from "./operator/drill-commands.ts";
import { ExplainCommand } from "./explain-command.ts";
import { GuardedEnd } from "./operator/guarded-end.ts";
import { InsightCommands } from "./sandbox/insight-commands.ts";
import { JobCommands } from "./jobs/job-commands.ts";
import { jobStore } from "../jobs/job-store.ts";
import { JobDelivery } from "../jobs/job-delivery.ts";
import { JobResults } from "../jobs/job-results.ts";
import { LifecycleCommands } from "./life/lifecycle-commands.ts";
import { NetworkCommands } from "./sandbox/network-commands.ts";
import { OperatorCommands } from "./operator/operator-commands.ts";
import { OutcomeTally } from "../jobs/outcome-tally.ts";
import { PendingCreate } from "./life/pending-create.ts";
import type { SessionPorts } from "../ports.ts";
import { ProviderCalls } from "../steps/provider-calls.ts";
import { Reporter } from "../reports/reporter.ts";
import { MaintenanceCommands } from "./operator/maintenance-commands.ts";
import type { SessionApi } from "../session-api.ts";
import { SessionSecrets } from "../records/secrets.ts";
import { SessionState } from "../session-state.ts";
import type { StepContext } from "../steps/step-context.ts";
import { sessionStore } from "../records/store.ts";
import { SnapshotCommands } from "./life/snapshot-commands.ts";
import { SuspensionCommands } from "./life/suspension-commands.ts";
import { forwardMethods, type Implementing, type Handlers } from "../../storage/forward-methods.ts";
import { TrafficCommands } from "./sandbox/traffic-commands.ts";
import { WatchedClock } from "../watched-clock.ts";
import { logTransitions } from "../records/transition-log.ts";

/** Which part answers each method of the session's API. */
export const answeredBy = {
  create: "creation",
  get: "lifecycle",
  read: "lifecycle",
  delete: "lifecycle",
  timeout: "lifecycle",
  setNetwork: "network",
  budget: "lifecycle",
  tenantBudgetSpent: "lifecycle",
  keepalive: "lifecycle",
  teardown: "lifecycle",
  usage: "lifecycle",
  events: "lifecycle",
  pause: "suspension",
  attach: "suspension",
  resume: "suspension",
  rebuild: "suspension",
  interrupt: "jobs",
  createJob: "jobs",
  jobs: "jobs",
  job: "jobs",
  cancelJob: "jobs",
  writeStdin: "jobs",
  jobOutput: "jobs",
  pass: "traffic",
  snapshot: "snapshots",
  recipe: "snapshots",
  explain: "explain",
  resources: "insight",
  logs: "insight",
  end: "guarded",
  resolve: "operator",
  inspect: "operator",
  owner: "operator",
  restorePoint: "drill",
  restoreDrilled: "drill",
  reseal: "maintenance",
  poke: "maintenance",
} as const satisfies Readonly<Record<keyof SessionApi, string>>;

class Commands {
  static {
    forwardMethods<Commands, SessionApi, typeof answeredBy>(this.prototype, answeredBy, (self) => self.handlers);
  }

  readonly handlers: Handlers<SessionApi, typeof answeredBy>;
  /** The present state, for the simulation's invariants and for tests. */
  readonly state: SessionState;
  readonly engine: SessionEngine;

  constructor(outside: SessionPorts) {
    const clock = new WatchedClock(outside.clock);
    const ports: SessionPorts = { ...outside, clock };
    const store = sessionStore(ports.sql);
    const tally = new OutcomeTally(ports.clock.now());
    const jobs = tally.jobs(jobStore(ports.sql));
    this.state = new SessionState(ports, store, jobs, {
      dueAt: (version) => this.engine.dueAt(version),
      retryAt: (now) => this.engine.retryAt(now),
      reset: () => this.engine.reset(),
    });
    tally.watch(this.state);
    logTransitions(this.state, ports.logger);
    const secrets = new SessionSecrets(ports, this.state, store, jobs);
    const results = new JobResults(ports, this.state, jobs);
    const delivery = new JobDelivery(ports, this.state, jobs, secrets, results);
    const calls = new ProviderCalls(ports, this.state, tally);
    const pendingCreate = new PendingCreate(() => this.state.rearmAndNotify());
    const reporter = new Reporter(ports, this.state, store, tally, jobs, pendingCreate);
    const shared = { ports, state: this.state, calls, secrets, reporter, pendingCreate };
    const steps: StepContext = { ...shared, jobs: results, workspaceVersions: new Map() };
    this.engine = new SessionEngine(ports, this.state, steps, delivery, reporter, secrets, clock);
    const context = new CommandContext(ports, this.state, store, jobs, () => this.engine.noticeClock());
    this.handlers = {
      creation: new Creation(context, this.engine, steps),
      lifecycle: new LifecycleCommands(context),
      network: new NetworkCommands(context, steps),
      jobs: new JobCommands(context, delivery, results, secrets),
      operator: new OperatorCommands(context),
      guarded: new GuardedEnd(context),
      suspension: new SuspensionCommands(context),
      traffic: new TrafficCommands(context),
      snapshots: new SnapshotCommands(context, secrets),
      explain: new ExplainCommand(context),
      drill: new DrillCommands(context),
      insight: new InsightCommands(context, calls),
      maintenance: new MaintenanceCommands(ports, this.state, this.engine, reporter, secrets),
    };
    if (this.state.mode.type !== "absent") void this.engine.noticeAlarm();
  }
}

/** Everything that a session answers, with its state and its engine. */
export const SessionCommands = Commands as unknown as Implementing<typeof Commands, SessionApi>;
export type SessionCommands = InstanceType<typeof SessionCommands>;
