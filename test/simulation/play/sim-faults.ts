/** The seed's hand in every call to the provider, and the count of how often each fault met each phase of a lease. */
import type { SandboxId, SessionId } from "../../../src/domain/state/ids.ts";
import type { Call, Fault, FaultPlan } from "../../memory/fault-plan.ts";
import type { SeededRandom } from "../../support/seeded-random.ts";
import type { Coverage, CoveredPhase } from "../coverage.ts";
import type { DrawableFault, SimPlan } from "./sim-plan.ts";
import type { Trace } from "./trace.ts";

export interface FaultDependencies {
  readonly plan: SimPlan;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  readonly trace: Trace;
  /** In which phase the stored lease is that a call is about, or the session when it is about none. */
  readonly phasesOf: (call: Call) => readonly CoveredPhase[];
  /** Told of every call before it is made: the invariants of intent before effect. */
  readonly onCall: (call: Call) => void;
}

type Sickness = { readonly until: number; readonly kind: "silent" | "failing" };
/** The sandbox that never answers again, and whose session it is. */
type Doom = { readonly sandboxId: SandboxId; readonly sessionId: SessionId };

export class SimFaults implements FaultPlan {
  readonly #world: FaultDependencies;
  readonly #sick = new Map<SandboxId, Sickness>();
  #on = true;
  #healed = false;
  #doom: Doom | null = null;

  constructor(world: FaultDependencies) {
    this.#world = world;
  }

  /** From now on nothing fails any more, but for what never ends. What was already on its way still arrives. */
  end(): void {
    this.#on = false;
    this.#sick.clear();
  }

  /** What never ends has an end after all. */
  heal(): void {
    this.#healed = true;
  }

  /** Whether the provider goes on failing this session. */
  dooms(session: SessionId): boolean {
    return !this.#healed && this.#doom?.sessionId === session;
  }

  decide(call: Call): Fault {
    const { coverage, trace, phasesOf, onCall } = this.#world;
    onCall(call);
    const drawn = this.#endless(call) ?? (this.#on ? this.#draw(call) : null);
    const fault = drawn?.fault ?? this.#latency(call);
    const phases = phasesOf(call);
    coverage.called(call.op, phases, drawn?.name ?? null);
    if (drawn !== null) coverage.count(drawn.name, phases);
    trace.note(
      "provider",
      () => `${call.op} of ${call.sandboxId ?? "?"}${drawn === null ? "" : `: ${JSON.stringify(fault)}`}`,
    );
    return fault;
  }

  #endless(call: Call): { readonly name: string; readonly fault: Fault } | null {
    if (this.#healed) return null;
    if (this.#world.plan.neverEnds === "snapshots" && !this.#on && call.op === "remove")
      return { name: "endless_snapshots", fault: { type: "fail_before", effect: "unknown" } };
    if (this.#doom === null || call.sandboxId !== this.#doom.sandboxId) return null;
    return { name: "endless_sandbox", fault: sickFault({ until: Number.POSITIVE_INFINITY, kind: "silent" }) };
  }

  #draw(call: Call): { readonly name: string; readonly fault: Fault } | null {
    const { plan, random, phasesOf } = this.#world;
    const sick = this.#sickness(call);
    if (sick !== null) return sick;
    const phases = phasesOf(call);
    const asleep = phases.includes("asleep");
    const emphasis = call.op === "remove" || phases.some((phase) => seldomMet.has(phase)) ? 4 : 1;
    // What sleeps asks for one thing only, now and then: that a snapshot be deleted.
    if (!random.chance(asleep ? 0.8 : Math.min(0.6, emphasis * plan.faultRate))) return null;
    const fitting = plan.faults.filter(([, fault]) => fits(fault, call, phases));
    if (fitting.length === 0) return null;
    const name = asleep ? random.pick(fitting)[1] : random.weighted(fitting);
    return { name, fault: this.#make(name) };
  }

  /** Some sandboxes fall sick: nobody answers for them for a long time, and most of them hang on, frozen, past every grace. */
  #sickness(call: Call): { readonly name: string; readonly fault: Fault } | null {
    const { plan, random } = this.#world;
    if (call.sandboxId === null) return null;
    const known = this.#sick.get(call.sandboxId);
    if (known !== undefined && known.until > call.now) return { name: `sick_${known.kind}`, fault: sickFault(known) };
    if (!random.chance(plan.sickRate)) return null;
    if (plan.neverEnds === "sandbox" && this.#doom === null && call.sessionId !== null)
      this.#doom = { sandboxId: call.sandboxId, sessionId: call.sessionId };
    const ms = random.int(2, plan.sickFor) * plan.unitMs;
    this.#sick.set(call.sandboxId, { until: call.now + ms, kind: random.pick(["silent", "failing"]) });
    return random.chance(0.7) ? { name: "freeze", fault: { type: "freeze", what: "everything", ms } } : null;
  }

  #make(name: DrawableFault): Fault {
    const { random, plan } = this.#world;
    const { policy, unitMs } = plan;
    const delay = () =>
      random.pick([random.int(1, unitMs / 30), random.int(1, policy.launchCallMs), random.int(1, 6 * unitMs)]);
    switch (name) {
      case "fail_before":
        return { type: "fail_before", effect: random.pick(["none", "unknown"]) };
      case "lost_reply":
        return { type: "lost_reply" };
      case "slow":
        return { type: "slow", ms: delay() };
      case "late_effect":
        return { type: "late_effect", ms: delay(), reply: random.pick(["error", "silence", "result"]) };
      case "duplicate":
        return { type: "duplicate", afterMs: delay() };
      case "hang":
        return { type: "hang", deaf: random.chance(0.3) };
      case "disappear":
        return { type: "disappear" };
      case "kill_wrapper":
        return { type: "kill_wrapper" };
      case "freeze":
        return {
          type: "freeze",
          what: random.pick(["wrapper", "everything"]),
          ms: random.pick([random.int(1, unitMs / 3), random.int(1, 12 * unitMs)]),
        };
      case "host_restart":
        return { type: "host_restart", scanMs: random.int(0, unitMs / 3) };
      case "host_reboot":
        return { type: "host_reboot", scanMs: random.int(0, unitMs / 3) };
      case "foreign_instance":
        return { type: "foreign_instance" };
      case "lie_absent":
        return { type: "stale_read", lie: { type: "absent" } };
      case "lie_fewer":
        return { type: "stale_read", lie: { type: "fewer" } };
      case "lie_stale":
        return { type: "stale_read", lie: { type: "stale", ageMs: random.int(1, 2 * unitMs) } };
      case "lie_wrong_host":
        return { type: "stale_read", lie: { type: "wrong_host" } };
      case "lie_wrong_boot":
        return { type: "stale_read", lie: { type: "wrong_boot" } };
      case "lie_malformed":
        return { type: "stale_read", lie: { type: "malformed" } };
    }
  }

  /** Real calls take a moment: without it nothing would ever happen between a request and its answer. */
  #latency(call: Call): Fault {
    const { random, plan } = this.#world;
    if (call.op === "save") return { type: "slow", ms: random.int(1, 1 + plan.saveMs) };
    return random.chance(0.7) ? { type: "none" } : { type: "slow", ms: random.int(1, 400) };
  }
}

/** Short, or few get there: what they ask of the provider is hit more often, or some faults would never meet them. */
const seldomMet: ReadonlySet<CoveredPhase> = new Set(["restoring", "draining", "saving", "parked", "ghost"]);

/** These befall a sandbox, and some calls are about none. */
const ofASandbox: ReadonlySet<DrawableFault> = new Set(["disappear", "kill_wrapper", "freeze"]);

function fits(fault: DrawableFault, call: Call, phases: readonly CoveredPhase[]): boolean {
  // The host that answers first is the host of the lease.
  if (fault === "lie_wrong_host" && phases.includes("opening")) return false;
  if (fault.startsWith("lie_")) return call.op === "observe";
  return call.sandboxId !== null || !ofASandbox.has(fault);
}

function sickFault(sick: Sickness): Fault {
  return sick.kind === "silent" ? { type: "hang", deaf: false } : { type: "fail_before", effect: "unknown" };
}
