/** A memory world on virtual time with its port, and the orders that a test needs to talk to it. */
import type { Generation, InstanceId, SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import { isolatedSandboxId } from "../../src/domain/state/ids.ts";
import type { AgentSandbox, CallBound, InstanceRef, LaunchOrder, Target } from "../../src/sandbox/agent-sandbox.ts";
import type { Call, Fault } from "../memory/fault-plan.ts";
import { memorySandbox } from "../memory/memory-sandbox.ts";
import { MemoryWorld, type WorldOptions } from "../memory/memory-world.ts";
import { SeededRandom } from "./seeded-random.ts";
import { VirtualClock, VirtualTime } from "./virtual-time.ts";

const began = Date.UTC(2026, 0, 1);
const sessionId = "aaaaaaaaaaaaaaaaaaaa" as SessionId;

export class MemoryRig {
  readonly time = new VirtualTime(new SeededRandom(1));
  readonly clock = new VirtualClock(this.time, began);
  readonly world: MemoryWorld;
  readonly sandbox: AgentSandbox;
  /** Asked for each call; a test replaces it. */
  fault: (call: Call) => Fault = () => ({ type: "none" });

  constructor(options: Omit<WorldOptions, "clock"> = {}) {
    this.world = new MemoryWorld({ ...options, clock: this.clock });
    this.sandbox = memorySandbox(this.world, { clock: this.clock, faults: { decide: (call) => this.fault(call) } });
  }

  /** The next call of that op gets this fault, the others none. */
  failNext(op: Call["op"], fault: Fault): void {
    let armed = true;
    this.fault = (call) => {
      if (!armed || call.op !== op) return { type: "none" };
      armed = false;
      return fault;
    };
  }

  order(changes: Partial<LaunchOrder> = {}): LaunchOrder {
    const generation = changes.generation ?? (began as Generation);
    const session = changes.sessionId ?? sessionId;
    return {
      sessionId: session,
      sandboxId: isolatedSandboxId(session, generation),
      instanceId: `instance-of-${generation}` as InstanceId,
      generation,
      secret: "s".repeat(64),
      launchNotAfter: this.clock.now() + 60_000,
      leaseTtlMs: 300_000,
      jobGraceMs: 5_000,
      stopGraceMs: 10_000,
      env: { GREETING: "hello" },
      ...changes,
    };
  }

  target(order: LaunchOrder, changes: Partial<Target> = {}): Target {
    const { sessionId: session, sandboxId, generation, instanceId } = order;
    return { sessionId: session, sandboxId, generation, instanceId, host: null, ...changes };
  }

  ref(order: LaunchOrder, changes: Partial<InstanceRef> = {}): InstanceRef {
    return { ...this.target(order), instanceId: order.instanceId, secret: order.secret, ...changes };
  }

  /** A bound that gives up by the virtual clock. */
  bound(timeoutMs = 60_000): CallBound {
    const giveUp = new AbortController();
    void this.clock.sleep(timeoutMs).then(() => giveUp.abort());
    return { timeoutMs, signal: giveUp.signal };
  }

  /** Launched and renewed once: it takes jobs. */
  async running(changes: Partial<LaunchOrder> = {}): Promise<LaunchOrder> {
    const order = this.order(changes);
    const launched = await this.done(this.sandbox.launch(order, this.bound()));
    if (!launched.ok) throw new Error(launched.failure.message);
    await this.renew(order, 1);
    return order;
  }

  renew(order: LaunchOrder, sequence: number, sentAt = this.clock.now()) {
    const request = { sequence, sent_at: sentAt, ttl_ms: order.leaseTtlMs };
    return this.done(this.sandbox.wrapper(this.ref(order)).renew(request, this.bound()));
  }

  startJob(order: LaunchOrder, id: string, command: string, timeoutMs = 600_000) {
    const job = { id, command, timeout_ms: timeoutMs, stdin_open: command.includes("cat") };
    return this.done(this.sandbox.wrapper(this.ref(order)).startJob(job, this.bound()));
  }

  observe(order: LaunchOrder, changes: Partial<Target> = {}) {
    return this.done(this.sandbox.observe(this.target(order, changes), this.clock.now(), this.bound(10_000)));
  }

  /** What is alive in it, by kind. */
  kinds(sandboxId: SandboxId): string[] {
    const alive = this.world.processes().filter((process) => process.sandboxId === sandboxId);
    return alive.map((process) => process.kind).sort();
  }

  /** Time passes until it has an answer. */
  done<T>(promise: Promise<T>): Promise<T> {
    return this.time.until(promise);
  }
}
