/** One session, put together: the parts over one state, and the answers to everything that is asked of it. */
import type { SessionId } from "../domain/ids.ts";
import { nextDeadline } from "../domain/reconcile.ts";
import type { CreateJob } from "../protocol/jobs.ts";
import type { Reply } from "../protocol/problem.ts";
import type { CreateSession } from "../protocol/sessions.ts";
import { SessionAccess } from "./access.ts";
import { Creation } from "./creation.ts";
import { SessionEngine } from "./engine.ts";
import { ExplainCommand } from "./explain-command.ts";
import { GuardedEnd } from "./guarded-end.ts";
import { InsightCommands } from "./insight-commands.ts";
import { JobCommands } from "./job-commands.ts";
import { jobStore } from "./job-store.ts";
import { JobRunner } from "./jobs.ts";
import { LifecycleCommands } from "./lifecycle-commands.ts";
import { OperatorCommands } from "./operator-commands.ts";
import { Opening } from "./opening.ts";
import { OutcomeTally } from "./outcome-tally.ts";
import type { SessionPorts } from "./ports.ts";
import { Preparing } from "./preparing.ts";
import { ProviderCalls } from "./provider-calls.ts";
import { Renewing } from "./renewing.ts";
import { Reporter } from "./reporter.ts";
import { newerRecord, notFound, refuse, storageFailed, unreadableRecord } from "./refusals.ts";
import type { AttachOrder, Caller, EndOrder, Operator, Resolution, SealCount, SessionApi } from "./session-api.ts";
import { Saving } from "./saving.ts";
import { SessionSecrets } from "./secrets.ts";
import { SessionState } from "./session-state.ts";
import { StepRunner } from "./steps.ts";
import { Stopping } from "./stopping.ts";
import { sessionStore } from "./store.ts";
import { SuspensionCommands } from "./suspension-commands.ts";
import { logTransitions } from "./transition-log.ts";

export class SessionCommands implements SessionApi {
  readonly #ports: SessionPorts;
  readonly #creation: Creation;
  readonly #lifecycle: LifecycleCommands;
  readonly #jobs: JobCommands;
  readonly #operator: OperatorCommands;
  readonly #guarded: GuardedEnd;
  readonly #suspension: SuspensionCommands;
  readonly #insight: InsightCommands;
  readonly #secrets: SessionSecrets;
  readonly #reporter: Reporter;
  readonly #explain: ExplainCommand;
  /** The present state, for the simulation's invariants and for tests. */
  readonly state: SessionState;
  readonly engine: SessionEngine;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    const store = sessionStore(ports.sql);
    const tally = new OutcomeTally(ports.clock.now());
    const jobs = tally.jobs(jobStore(ports.sql));
    this.state = new SessionState(ports, store, jobs);
    tally.watch(this.state);
    logTransitions(this.state, ports.logger);
    const secrets = new SessionSecrets(ports, this.state, store, jobs);
    this.#secrets = secrets;
    const runner = new JobRunner(ports, this.state, jobs, secrets);
    const calls = new ProviderCalls(ports, this.state, tally);
    const opening = new Opening(ports, calls, secrets);
    const renewing = new Renewing(ports, calls, runner);
    const stopping = new Stopping(ports, calls, runner);
    const saving = new Saving(ports, calls, runner);
    const preparing = new Preparing(ports, calls, runner, secrets);
    const steps = new StepRunner(calls, opening, renewing, stopping, saving, preparing);
    const reporter = new Reporter(ports, this.state, store, tally);
    this.#reporter = reporter;
    this.engine = new SessionEngine(ports, this.state, steps, runner, reporter, secrets);
    const access = new SessionAccess(ports, this.state, store, jobs, () => this.engine.noticeClock());
    this.#creation = new Creation(access, this.engine, opening, reporter, secrets);
    this.#lifecycle = new LifecycleCommands(access);
    this.#jobs = new JobCommands(access, runner, secrets);
    this.#operator = new OperatorCommands(access);
    this.#guarded = new GuardedEnd(access);
    this.#suspension = new SuspensionCommands(access);
    this.#explain = new ExplainCommand(access);
    this.#insight = new InsightCommands(access, calls);
    if (this.state.mode.type !== "absent") void this.engine.noticeAlarm();
  }

  create(id: SessionId, caller: Caller, body: CreateSession, requestHash: string | null, waitMs: number) {
    return this.#creation.create(id, caller, body, requestHash, waitMs);
  }
  get(caller: Caller) {
    return this.#lifecycle.get(caller);
  }
  delete(caller: Caller, reason: "requested" | "operator") {
    return this.#lifecycle.delete(caller, reason);
  }
  timeout(caller: Caller, kind: "timeout" | "refresh", seconds: number) {
    return this.#lifecycle.timeout(caller, kind, seconds);
  }
  pause(caller: Caller, waitMs?: number) {
    return this.#suspension.pause(caller, waitMs);
  }
  attach(caller: Caller, order: AttachOrder, waitMs: number) {
    return this.#suspension.attach(caller, order, waitMs);
  }
  resume(caller: Caller, seconds: number | null, waitMs: number) {
    return this.#suspension.resume(caller, seconds, waitMs);
  }
  rebuild(caller: Caller, waitMs: number) {
    return this.#suspension.rebuild(caller, waitMs);
  }
  keepalive(caller: Caller) {
    return this.#lifecycle.keepalive(caller);
  }
  teardown(caller: Caller) {
    return this.#lifecycle.teardown(caller);
  }
  usage(caller: Caller) {
    return this.#lifecycle.usage(caller);
  }
  explain(caller: Caller | null) {
    return this.#explain.explain(caller);
  }
  resources(caller: Caller | null) {
    return this.#insight.resources(caller);
  }
  logs(caller: Caller | null, tailBytes: number) {
    return this.#insight.logs(caller, tailBytes);
  }
  events(caller: Caller, after: number, limit: number, waitMs: number) {
    return this.#lifecycle.events(caller, after, limit, waitMs);
  }
  interrupt(caller: Caller) {
    return this.#jobs.interrupt(caller);
  }
  createJob(caller: Caller, body: CreateJob) {
    return this.#jobs.createJob(caller, body);
  }
  jobs(caller: Caller, after: string | null, limit: number) {
    return this.#jobs.jobs(caller, after, limit);
  }
  job(caller: Caller, id: string, waitMs: number) {
    return this.#jobs.job(caller, id, waitMs);
  }
  cancelJob(caller: Caller, id: string) {
    return this.#jobs.cancelJob(caller, id);
  }
  writeStdin(caller: Caller, id: string, bytes: Uint8Array, end: boolean) {
    return this.#jobs.writeStdin(caller, id, bytes, end);
  }
  jobOutput(caller: Caller, id: string, offset: number) {
    return this.#jobs.jobOutput(caller, id, offset);
  }
  end(order: EndOrder) {
    return this.#guarded.end(order);
  }
  resolve(operator: Operator, resolution: Resolution, ifMatch: string) {
    return this.#operator.resolve(operator, resolution, ifMatch);
  }
  inspect() {
    return this.#operator.inspect();
  }

  async reseal(): Promise<Reply<SealCount>> {
    const { mode } = this.state;
    if (mode.type === "absent") return refuse(notFound);
    if (mode.type !== "readable") return refuse(mode.type === "newer" ? newerRecord : unreadableRecord);
    try {
      return { ok: true, value: await this.#secrets.renew() };
    } catch (error) {
      this.#ports.logger.error("could not seal anew", { error: String(error) });
      return refuse(storageFailed);
    }
  }

  async poke(actor: "maintenance" | "operator"): Promise<{ known: boolean; nextDeadline: number | null }> {
    if (this.state.mode.type === "absent") return { known: false, nextDeadline: null };
    this.#reporter.ask();
    this.engine.tick(actor);
    this.state.rearm();
    const session = this.state.session;
    return { known: true, nextDeadline: session === null ? null : nextDeadline(session, this.#ports.policy) };
  }
}
