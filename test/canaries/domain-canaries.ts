/** Mistakes in the pure core: bounds, orders, dropped consequences. */
import { bySimulation, byTests, canary, type Canary } from "./canary.ts";

const proof = "domain/rules/proof.ts";
const stop = "domain/machine/stop/on-stop.ts";
const stoppingLease = "domain/machine/stop/stopping-lease.ts";
const clocks = "domain/rules/clocks.ts";
const launch = "domain/machine/launch/on-launch.ts";
const open = "domain/machine/launch/on-open.ts";
const renewal = "domain/machine/lifetime/on-renewal.ts";
const beginStop = "domain/machine/stop/begin-stop.ts";
const leaseTimes = "domain/rules/lease-times.ts";
const rebuild = "domain/machine/on-rebuild.ts";
const time = "domain/machine/lifetime/on-time.ts";
const ending = "domain/machine/stop/ending.ts";

export const domainCanaries: readonly Canary[] = [
  canary(
    "unknown read as absent [I4]",
    proof,
    'if (look.answer !== "absent") return',
    'if (look.answer === "present") return',
    byTests("unit/domain/stop/proof"),
  ),
  canary(
    "an observation from before the last effect believed [PHY-16]",
    proof,
    "if (look.beganAt < settledAt || look.beganAt < retired.at) return",
    "if (look.beganAt < 0) return",
    byTests("unit/domain/stop/proof"),
  ),
  canary(
    "retirement skipped [I3]",
    proof,
    'if (retired === null) return { type: "unproven", why: "its generation is not retired at the provider yet" };',
    'if (retired === null) return { type: "proven", at: settledAt };',
    byTests("unit/domain/stop/proof"),
  ),
  canary(
    "two looks of one instant prove absence [I3]",
    proof,
    "second.beganAt - first.beganAt < policy.absenceLookGapMs",
    "second.beganAt - first.beganAt < 0",
    byTests("unit/domain/stop/proof"),
  ),
  canary(
    "another boot's answer proves absence [I3]",
    proof,
    "if (look.boot !== retired.boot)",
    "if (look.boot === null)",
    bySimulation(),
  ),
  canary(
    "backoff reset by a second stop request [LEA-5]",
    beginStop,
    'if (lease.phase === "stopping") return lease;',
    "",
    byTests("unit/domain/stop/stop"),
  ),
  canary(
    "one stop attempt too many [I7]",
    stop,
    "count >= policy.stopAttempts",
    "count > policy.stopAttempts",
    bySimulation(),
  ),
  canary(
    "no wait between stop attempts [LEA-10]",
    stop,
    "nextAttemptAt: now + stopBackoff(count, jitter, policy)",
    "nextAttemptAt: now",
    bySimulation(),
  ),
  canary(
    "a late reply adopted [LEA-8]",
    stop,
    'if (lease.step.type !== "acting" || lease.step.attemptId !== event.attemptId)',
    'if (lease.step.type !== "acting")',
    byTests("unit/domain/stop/stop"),
  ),
  canary(
    "a parked lease stops by itself again [I7]",
    stop,
    "return became({ ...seen, lastError: verdict.why });",
    "return became({ ...newRound(seen, context.now), lastError: verdict.why });",
    bySimulation(),
  ),
  canary(
    "an absence may be asserted before the lease has expired [LEA-20]",
    stop,
    "if (now < from)",
    "if (now < lease.requestedAt)",
    byTests("unit/domain/stop/ghosts"),
  ),
  {
    name: "nobody stops an operator who asserts an absence before the lease has expired [LEA-20]",
    edits: [
      { file: `src/${stop}`, from: "if (now < from)", to: "if (now < lease.requestedAt)" },
      {
        file: "src/session/commands/operator/operator-commands.ts",
        from: "if (targets.length > 0 && clock.now() < latest) {",
        to: "if (targets.length > 0 && clock.now() < 0) {",
      },
    ],
    by: bySimulation(),
  },
  canary(
    "jobs of a proven ghost are never settled [FEN-6]",
    stoppingLease,
    '      { type: "settleJobs", generation, as: "lost" },\n      { type: "storeReceipt", lease },',
    '      { type: "storeReceipt", lease },',
    byTests("unit/domain/stop/ghosts"),
  ),
  canary(
    "a ghost's receipt is not stored [DEL-7]",
    stoppingLease,
    '      { type: "settleJobs", generation, as: "lost" },\n      { type: "storeReceipt", lease },',
    '      { type: "settleJobs", generation, as: "lost" },',
    byTests("unit/domain/stop/ghosts"),
  ),
  canary(
    "jobs of a closed lease are never settled [FEN-6]",
    stoppingLease,
    "return resumeIfQueued(free, context, ...effects, settle);",
    "return resumeIfQueued(free, context, ...effects);",
    byTests("unit/domain/stop/stop", "unit/session/jobs/jobs"),
  ),
  canary(
    "a generation reused [I2]",
    open,
    "nextGeneration: Math.max(session.nextGeneration, nextGeneration(event.candidate.generation)) as Generation,",
    "nextGeneration: session.nextGeneration,",
    byTests("unit/domain/launch/launch"),
  ),
  canary(
    "a launch without an answer is sent again at once [I6]",
    launch,
    'if (failure.effect === "unknown") {',
    'if (failure.effect === "unknown" && failure.code === "invalid") {',
    bySimulation(),
  ),
  canary(
    "a lease is opened though its sandbox was not seen absent [I4]",
    open,
    'observation.answer !== "absent" ||',
    'observation.answer === "present" ||',
    byTests("unit/domain/launch/launch"),
  ),
  canary(
    "an answer of an older renewal accepted [I6]",
    renewal,
    'if (event.sequence !== lease.renewals.sequence) return ignored("the answer of an older renewal");',
    "",
    byTests("unit/domain/lifetime/renewal"),
  ),
  canary(
    "a look from before the lease was held loses it [I4]",
    renewal,
    "observation.beganAt < lease.heldAt || observation.beganAt < lease.acceptedSentAt",
    "observation.beganAt < 0",
    byTests("unit/domain/lifetime/renewal"),
  ),
  canary(
    "a launch is given up while it may still land [I6]",
    renewal,
    'if (observation.beganAt <= lease.launchNotAfter) return ignored("the launch may still land");',
    "",
    byTests("unit/domain/launch/launch", "unit/domain/lifetime/renewal"),
  ),
  canary(
    "an idle clock that fires without asking [CLK-9]",
    clocks,
    'if (lease?.phase !== "held") return true;\n  return (',
    'if (lease?.phase !== "nothing") return true;\n  return (',
    byTests("unit/domain/lifetime/clocks"),
  ),
  canary(
    "running jobs do not hold the idle clock [CLK-8]",
    clocks,
    "if (activeJobs === 0) return lastAt + idleTimeoutMs;",
    "return lastAt + idleTimeoutMs;",
    byTests("unit/domain/lifetime/clocks"),
  ),
  canary(
    "end_at never fires [CLK-9]",
    clocks,
    "isPaused(session) ? null : session.endAt;",
    "isPaused(session) ? null : session.endAt + 864e5;",
    bySimulation(),
  ),
  canary(
    "the idle clock never fires [CLK-7]",
    clocks,
    'if (idleTimeoutMs === null || session.desired.type !== "running"',
    'if (idleTimeoutMs !== null || session.desired.type !== "running"',
    bySimulation(),
  ),
  canary(
    "a lapsed lease is held for ever [I8]",
    time,
    'if (context.now < lapsesAt(lease, context.policy)) return ignored("the lease has not lapsed");',
    'if (context.now < lapsesAt(lease, context.policy) + 864e5) return ignored("the lease has not lapsed");',
    bySimulation(),
  ),
  canary(
    "an abandoned stop attempt stays acting [I7]",
    time,
    'if (lease?.phase !== "stopping" || lease.step.type !== "acting" || context.now < lease.step.deadline) continue;',
    "continue;",
    bySimulation(),
  ),
  canary(
    "an overdue save keeps the gate closed [DEL-12]",
    time,
    'if (lease?.phase !== "held" || lease.gate.type !== "saving" || context.now < lease.gate.deadline)',
    'if (lease?.phase !== "held" || lease.gate.type !== "saving")',
    byTests("unit/domain/suspend/saving"),
  ),
  canary(
    "replaced before the lease has certainly expired [I2]",
    leaseTimes,
    "return lease.certainExpiry + stopGraceOf(lease, policy) + policy.alarmSlipMs;",
    "return lease.requestedAt + stopGraceOf(lease, policy);",
    bySimulation(),
  ),
  canary(
    "one ghost too many [LEA-18]",
    rebuild,
    "session.ghosts.length >= context.policy.maxGhosts",
    "session.ghosts.length > context.policy.maxGhosts",
    byTests("unit/domain/stop/ghosts"),
  ),
  canary(
    "the end of a session is dated while a ghost is open [I10]",
    "domain/state/session.ts",
    "return nothingOpen && discarded.length === 0 && ghosts.every((ghost) => ghost.assertion !== null);",
    "return nothingOpen && discarded.length === 0;",
    byTests("unit/domain/stop/ghosts", "unit/domain/lifetime/undated-end"),
  ),
  canary(
    "a stop waits for the launch call [I6]",
    "session/steps/step-table.ts",
    "lane: ({ generation }) => `launch:${generation}`",
    "lane: ({ generation }) => `lease:${generation}`",
    byTests("unit/domain/launch/reconcile", "unit/session/life/launch"),
  ),
  canary(
    "the snapshot of an ended session is forgotten [DEL-13]",
    ending,
    "stopNewest(withoutCandidate(withoutSnapshots(session, context.now)),",
    "stopNewest(withoutCandidate({ ...session, snapshot: null }),",
    bySimulation(),
  ),
  canary(
    "a reservation that is not used is not given back [CAP-6]",
    ending,
    "cancellations: generation === null ? session.cancellations : [...session.cancellations, generation],",
    "cancellations: session.cancellations,",
    byTests("unit/domain/launch/launch", "unit/domain/lifetime/expiry", "unit/domain/stop/loss"),
  ),
  canary(
    "relaunched without end [LEA-17]",
    "domain/rules/on-loss.ts",
    "session.relaunches >= policy.relaunchBudget",
    "session.relaunches > policy.relaunchBudget",
    byTests("unit/domain/stop/loss"),
  ),
  canary(
    "the queue of an ended session stays [FEN-2]",
    ending,
    '{\n    type: "dropQueue",\n  }',
    '{\n    type: "note",\n    note: { type: "x", cause: "", generation: null, facts: {} },\n  }',
    bySimulation(),
  ),
];
