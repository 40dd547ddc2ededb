/** I1 and its kin, at the moment of every call to the provider: the intent is stored, the alarm is armed, and the call is one that this phase allows. */
import type { Call } from "../../memory/fault-plan.ts";
import type { SessionObjectSim } from "../objects/sim-session.ts";
import type { SeenLease } from "../oracle/model.ts";

/** While what is overdue is under way, its alarm is the safety net of that (engine.ts). */
const overdueMs = 10_000;

/** null: the call may be made. `now`: by the controllers' clock. */
export function callViolation(
  call: Call,
  lease: SeenLease | null,
  object: SessionObjectSim,
  now: number,
): string | null {
  const said = lease === null ? "no lease" : lease.phase === "stopping" ? `stopping, ${lease.step.type}` : lease.phase;
  const forbidden = (rule: string) => `${rule}: ${call.op} of generation ${call.generation} while it is ${said}`;
  switch (call.op) {
    case "launch":
      if (lease?.phase !== "launching" || lease.step.type !== "acting") return forbidden("I1");
      return armedBy(object, lease.step.deadline, now) ? null : forbidden("I1: no alarm by its deadline");
    case "restore":
      return lease?.phase === "launching" && lease.step.type === "acting" ? null : forbidden("I1");
    case "stop":
      if (lease?.phase !== "stopping" || lease.step.type !== "acting") return forbidden("I7");
      return armedBy(object, lease.step.deadline, now) ? null : forbidden("I1: no alarm by its deadline");
    case "retire":
      return lease?.phase === "stopping" ? null : forbidden("I1");
    case "renew":
      if (lease?.phase === "held") return null;
      return lease?.phase === "launching" && lease.step.type === "confirming" ? null : forbidden("LEA-11");
    case "startJob":
      return lease?.phase === "held" && lease.gate.type === "open" ? null : forbidden("FEN-2");
    case "prepare":
      return lease?.phase === "held" && lease.gate.type === "preparing" ? null : forbidden("I1");
    case "save":
      return lease?.phase === "held" && (lease.gate.type === "saving" || lease.gate.type === "copying")
        ? null
        : forbidden("DEL-12");
    case "destroy":
      return lease?.phase === "closed" ? null : forbidden("DEL-2");
    case "inspectCapacity":
    case "reclaim":
      // Cold: before a lease is opened, never of a sandbox that is in use.
      return lease === null ? null : forbidden("CAP-1");
    // A registry's, about no session.
    case "retireContainer":
    case "observeContainer":
    case "destroyContainer":
    case "observe":
    case "enumerate":
    case "remove":
    case "readLogs":
    case "readResources":
    case "health":
    case "job":
    case "output":
    case "endJob":
    case "writeStdin":
    case "drain":
    case "freeze":
    case "inspectSnapshot":
    case "traffic":
      return null;
    case "cutTraffic":
      return lease?.phase === "stopping" ? null : forbidden("TRA-9");
  }
}

/** Past its deadline, as after a clock that leapt, it is armed for soon. */
function armedBy(object: SessionObjectSim, deadline: number, now: number): boolean {
  const { alarmAt } = object.storage;
  return alarmAt !== null && alarmAt <= Math.max(deadline, now + overdueMs);
}
