/** What to call now about a session, for its client and, where nobody else can, for an operator. Every call is one of next-calls.ts. */
import type { ClockName } from "../domain/rules/clocks.ts";
import { budgetIsUsedUp, nanosPerUnit } from "../domain/rules/price.ts";
import { ghostFrom } from "../domain/rules/lease-times.ts";
import { nextCalls, type CallHint } from "../domain/state/next-calls.ts";
import { openLeases, type Session } from "../domain/state/session.ts";
import { failingDeletions } from "../domain/rules/saved-files.ts";
import { statusOf } from "../domain/rules/status.ts";
import type { Advice, ExplainContext, NextCall } from "./explanation.ts";

export function nextStepsFor(session: Session, nextClock: ClockName | null, context: ExplainContext): Advice {
  const make = (call: CallHint, why: string, notBefore: number | null = null): NextCall => ({
    method: call.method,
    path: call.path.replace("{id}", session.id),
    body: call.body,
    headers: call.ifMatch === true ? { "if-match": `"${context.etag}"` } : {},
    access: call.access,
    notBefore: notBefore !== null && notBefore > context.now ? notBefore : null,
    why,
  });
  const own = clientSteps(session, nextClock, context, make);
  const operators = operatorSteps(session, context, make);
  // Where only an operator can go on, that is the call to make.
  return own.next === null
    ? { next: operators[0] ?? null, others: [...operators.slice(1), ...own.others] }
    : { next: own.next, others: [...own.others, ...operators] };
}

type Make = (call: CallHint, why: string, notBefore?: number | null) => NextCall;

const monthsBudget = (make: Make): NextCall =>
  make(nextCalls.usage, "This tells what was spent, what may be, and when the next month begins.");

function clientSteps(session: Session, nextClock: ClockName | null, context: ExplainContext, make: Make): Advice {
  const end = make(nextCalls.end, "This ends it.");
  const wait = (why: string): Advice => ({ next: make(nextCalls.read, why), others: [end] });
  const status = statusOf(session);
  switch (status) {
    case "running":
      return runningSteps(session, nextClock, context, make, end);
    case "provisioning":
      return provisioningSteps(session, make, end);
    case "recovering":
      return session.desired.type === "suspended"
        ? lostSteps(session, context, make, end)
        : waitForPlace(session, context, make, end);
    case "lost":
      return lostSteps(session, context, make, end);
    case "pausing":
      if (session.desired.type === "suspended" && session.desired.resumeQueued)
        return waitForPlace(session, context, make, end);
      return {
        next: make(nextCalls.read, "Wait until it is paused."),
        others: [
          make(nextCalls.resume, "This calls the pause off, or starts it again as soon as the old sandbox is gone."),
          end,
        ],
      };
    case "paused":
      return pausedSteps(session, make);
    case "terminating":
      return isParked(session) || failingDeletions(session).length > 0
        ? { next: null, others: [make(nextCalls.teardown, "This tells how far its end is.")] }
        : { ...wait("Wait until it is gone."), others: [make(nextCalls.teardown, "This tells how far its end is.")] };
    case "terminated":
    case "failed":
      return {
        next: make(nextCalls.create, "It is over. This begins another."),
        others: session.newest === null ? [] : [make(nextCalls.teardown, "This is its receipt.")],
      };
  }
}

function runningSteps(
  session: Session,
  nextClock: ClockName | null,
  { canSave }: ExplainContext,
  make: Make,
  end: NextCall,
): Advice {
  const saving = session.newest?.phase === "held" && session.newest.gate.type !== "open";
  const pause = canSave && !saving ? [make(nextCalls.pause, "This saves its files and gives the sandbox back.")] : [];
  const setEnd = make(nextCalls.setEnd, "This sets its end to an hour from now. Another time works as well.");
  const keepalive = make(nextCalls.keepalive, "This restarts its idle clock.");
  if (nextClock === "idle")
    return { next: { ...keepalive, why: "To keep it, restart its idle clock." }, others: [setEnd, ...pause, end] };
  if (nextClock === "end_at")
    return { next: { ...setEnd, why: "To keep it, move its end." }, others: [keepalive, ...pause, end] };
  if (nextClock === "budget" && session.budget.maxNanos !== null)
    return { next: moreBudget(session, make, "To keep it, give it more to spend."), others: [setEnd, ...pause, end] };
  // Nothing moves max lifetime: what is to be kept has to be saved.
  const [save, ...rest] = pause;
  return save === undefined
    ? { next: null, others: [setEnd, keepalive, end] }
    : {
        next: { ...save, why: "Nothing moves its max lifetime. This saves its files before it ends." },
        others: [setEnd, keepalive, ...rest, end],
      };
}

/** The call with a sum that is enough to go on with: half as much again. */
function moreBudget({ budget }: Session, make: Make, why: string): NextCall {
  const maxCost = Math.min(1_000_000, ((budget.maxNanos ?? 0) * 1.5) / nanosPerUnit);
  return { ...make(nextCalls.budget, why), body: { max_cost: Number(maxCost.toPrecision(6)) } };
}

function provisioningSteps(session: Session, make: Make, end: NextCall): Advice {
  const provision = session.desired.type === "running" ? session.desired.provision : null;
  if (provision?.lastError?.code === "quota_exhausted")
    return {
      next: make(nextCalls.list, "End another of your sessions to free quota. This one then goes on by itself."),
      others: [end],
    };
  if (provision?.lastError?.code === "budget_spent") return { next: monthsBudget(make), others: [end] };
  return { next: make(nextCalls.read, "Wait until it runs: it is being worked on."), others: [end] };
}

/** Its next sandbox waits for the old one, which is proven gone, or certainly expired and left behind. */
function waitForPlace(session: Session, context: ExplainContext, make: Make, end: NextCall): Advice {
  if (!replaceable(session, context))
    return { next: null, others: [make(nextCalls.read, "This tells when it runs again."), end] };
  return {
    next: make(nextCalls.read, "Wait: it goes on as soon as its old sandbox is proven gone or has certainly expired."),
    others: [end],
  };
}

function pausedSteps(session: Session, make: Make): Advice {
  const { setback } = session;
  const end = make(nextCalls.end, "This ends it and deletes what is saved.");
  const resume = make(nextCalls.resume, "This starts it again, with its files.");
  if (filesAreGone(setback)) return withoutItsFiles(make, resume);
  if (budgetIsUsedUp(session))
    return { next: moreBudget(session, make, "Its max_cost is used up: give it more, then resume it."), others: [end] };
  if (setback?.code === "budget_spent") return { next: monthsBudget(make), others: [resume, end] };
  if (setback?.code !== "quota_exhausted") return { next: resume, others: [end] };
  return {
    next: make(nextCalls.list, "End another of your sessions to free quota, then resume this one."),
    others: [resume, end],
  };
}

function filesAreGone(setback: Session["setback"]): boolean {
  return setback?.code === "snapshot_missing" || setback?.code === "snapshot_damaged";
}

/** Every try would end like the last one, unless somebody mends the store. */
function withoutItsFiles(make: Make, again: NextCall): Advice {
  return {
    next: make(nextCalls.end, "What was saved of it cannot be restored. This gives it up."),
    others: [{ ...again, why: "If the store of its provider works again, this starts it with its files." }],
  };
}

function lostSteps(session: Session, context: ExplainContext, make: Make, end: NextCall): Advice {
  const why =
    session.snapshot === null ? "This begins a new sandbox, empty." : "This begins a new sandbox with what is saved.";
  const { newest, setback } = session;
  if (filesAreGone(setback)) return withoutItsFiles(make, make(nextCalls.rebuild, why));
  if (budgetIsUsedUp(session))
    return {
      next: moreBudget(session, make, "Its max_cost is used up: give it more, then rebuild it."),
      others: [end],
    };
  if (newest?.phase !== "stopping") return { next: make(nextCalls.rebuild, why), others: [end] };
  if (!replaceable(session, context)) return { next: null, others: [end] };
  return { next: make(nextCalls.rebuild, why, ghostFrom(newest, context.policy)), others: [end] };
}

/** One more may be left behind unproven. Past the bound only an operator, or the proof itself, makes room. */
function replaceable(session: Session, { policy }: ExplainContext): boolean {
  return session.ghosts.length < policy.maxGhosts;
}

function isParked(session: Session): boolean {
  return openLeases(session).some(
    (lease) => lease.phase === "stopping" && lease.step.type === "parked" && lease.assertion === null,
  );
}

function operatorSteps(session: Session, context: ExplainContext, make: Make): readonly NextCall[] {
  if (context.adapterMissing)
    return [
      make(
        nextCalls.inspect,
        "Its provider has no adapter here: deploy the version that made it. This shows what is known.",
      ),
    ];
  const forget =
    failingDeletions(session).length === 0
      ? []
      : [
          make(
            nextCalls.forgetSnapshots,
            "An operator who knows that its store will not delete them takes its snapshots off the session. Audits list them from then on.",
          ),
        ];
  if (!isParked(session)) return forget;
  const unproven = openLeases(session).flatMap((lease) =>
    lease.phase === "stopping" && lease.assertion === null ? [ghostFrom(lease, context.policy)] : [],
  );
  const expired = Math.max(...unproven);
  return [
    make(nextCalls.retryStop, "An operator begins a new round of stop attempts, once the provider answers again."),
    make(
      nextCalls.assertAbsent,
      "An operator who knows that it is gone says so. The word is kept apart from proof.",
      expired,
    ),
    ...forget,
    ...(session.desired.type === "terminated"
      ? []
      : [make(nextCalls.abandon, "An operator ends the session and says that its sandbox is gone.", expired)]),
  ];
}
