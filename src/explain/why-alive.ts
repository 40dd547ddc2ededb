/** Why a session is still there, or why it is not; what blocks it; and what it left behind that could not be deleted. */
import { jobsBelievedRunning } from "../domain/rules/clocks.ts";
import type { Policy } from "../domain/rules/policy.ts";
import type { Blocked, Status } from "../domain/rules/status.ts";
import { terminateReasons } from "../domain/state/reasons.ts";
import type { Provision, Session } from "../domain/state/session.ts";
import { currentRestoreProof, failingDeletions } from "../domain/rules/saved-files.ts";
import type { ExplainContext } from "./explanation.ts";
import { at, bracketed, capital, sentence } from "./phrases.ts";

const purposes: Readonly<Record<Provision["purpose"], string>> = {
  create: "its first sandbox is being started",
  resume: "a sandbox for what was saved is being started",
  relaunch: "its sandbox was lost, and another is being started in its place",
  rebuild: "a new sandbox was asked for and is being started",
  upgrade: "its sandbox is being replaced by one with a newer agent; its files are carried over",
};

export function whyAlive(session: Session, status: Status, { now, policy, queuedJobs }: ExplainContext): string {
  const { desired, newest, activity } = session;
  switch (desired.type) {
    case "running": {
      if (newest?.phase === "held") {
        const saving =
          newest.gate.type === "open"
            ? failedWords(session)
            : " Its contents are being saved; no job is admitted meanwhile.";
        if (jobsBelievedRunning(session, now, policy)) return `${jobWords(activity.activeJobs, "run")}.${saving}`;
        const waiting = queuedJobs > 0 ? ` ${capital(jobWords(queuedJobs, "wait"))} to be handed over.` : "";
        return `nothing runs in it now; the last activity was ${at(activity.lastAt)}. It stays until a clock is due.${waiting}${saving}`;
      }
      const { provision } = desired;
      const tries =
        provision?.lastError?.code === "restoring"
          ? ` ${capital(sentence(provision.lastError.message))}`
          : provision === null || provision.failures === 0
            ? ""
            : ` ${provision.failures === 1 ? "One try" : `${provision.failures} tries`} failed ${bracketed(provision.lastError?.message ?? "no answer")}.`;
      const behind =
        newest?.phase === "stopping" ? " The one before it must be proven gone, or certainly expired, first." : "";
      return `${provision === null ? "it is being started" : purposes[provision.purpose]}.${tries}${behind}`;
    }
    case "suspended": {
      const { setback } = session;
      const failed = setback === null ? "" : ` The last try to start it failed: ${sentence(setback.message)}`;
      if (desired.cause === "loss")
        return `its sandbox was lost, and only a rebuild that is asked for replaces it. ${session.snapshot === null ? "Nothing of it is saved" : "What was saved is kept"}.${failed}`;
      if (desired.resumeQueued) return "it was resumed and waits until its old sandbox is gone.";
      if (status === "pausing") return `its contents are being saved; after that its sandbox is stopped.${failed}`;
      return `its contents are saved and it has no sandbox.${provenWords(session)}${failed}`;
    }
    case "terminated": {
      const why = `it was ended because ${terminateReasons[desired.reason].words}`;
      const failed = desired.failure === null ? "" : ` ${capital(sentence(desired.failure))}`;
      if (status === "terminating") return `${why}. What is left of it is being stopped or deleted.${failed}`;
      return `${why}. Nothing of it is left.${failed}`;
    }
  }
}

/** What a drill of these very files has shown; "" when there was none. */
function provenWords(session: Session): string {
  const proof = currentRestoreProof(session);
  if (proof === null) return "";
  return ` They were restored elsewhere and read whole ${at(proof.at)}: ${proof.files} files.`;
}

/** Why the last pause or rebuild failed, while the session runs on. */
function failedWords({ setback }: Session): string {
  return setback === null ? "" : ` ${capital(sentence(setback.message))}`;
}

/** Words about snapshots that could not be deleted, while the session goes on. */
export function leftoverWords(session: Session): string {
  const failing = session.desired.type === "terminated" ? [] : failingDeletions(session);
  if (failing.length === 0) return "";
  const which = failing.length === 1 ? "One earlier snapshot" : `${failing.length} earlier snapshots`;
  return `${which} of it could not be deleted yet ${bracketed(failing.at(-1)?.lastError ?? "no error was told")}. That is tried again.`;
}

function jobWords(count: number, verb: "run" | "wait"): string {
  return count === 1 ? `a job ${verb}s` : `${count} jobs ${verb}`;
}

export function blockedWords(session: Session, blocked: Blocked, policy: Policy): string {
  switch (blocked.code) {
    case "parked": {
      const { newest } = session;
      const error = newest?.phase === "stopping" ? newest.lastError : null;
      return `Its sandbox could not be proven gone: the stop attempts are used up ${bracketed(error ?? "no error was told")}. Mooring only looks at it from now on, more and more slowly.`;
    }
    case "adapter_missing":
      return `This Mooring has no adapter for its provider (${session.newest?.provider ?? session.provider}), so nothing is known of its sandbox.`;
    case "env_unreadable":
      return "What it was given as env is sealed with a key that this Mooring does not have now. It goes on by itself once the operator has put the key back.";
    case "snapshot_not_deleted": {
      const error = session.discarded.find(({ lastError }) => lastError !== null)?.lastError ?? "no error was told";
      return `Its end waits for a snapshot that its provider does not delete ${bracketed(error)}. It is tried again, more and more slowly.`;
    }
    case "pause_failing": {
      const { pauseTries } = session;
      const left = pauseTries === null ? 0 : policy.pauseTries - pauseTries.tries;
      return `Its time is over and its files cannot be saved ${bracketed(pauseTries?.error ?? "the saves did not finish")}. After ${left === 1 ? "one more try" : `${left} more tries`} it ends and they are lost. Fetch them with a job, or move its end.`;
    }
    case "unavailable": {
      const error = session.desired.type === "running" ? session.desired.provision?.lastError?.message : null;
      return `It cannot be started: ${sentence(error ?? "nobody answered")} It is tried again.`;
    }
    case "no_capacity":
      return "There is no capacity for its sandbox at the moment. Mooring asks for it again.";
    case "quota_exhausted":
      return "Its tenant has as many sandboxes as it may have. Mooring asks for this one again.";
    case "budget_spent": {
      const error = session.desired.type === "running" ? session.desired.provision?.lastError?.message : null;
      return `${capital(sentence(error ?? "The tenant has spent what it may in this month"))} Mooring asks for its sandbox again.`;
    }
    case "insufficient_space":
    case "space_unmeasurable":
    case "filesystem_unusable": {
      const error = session.desired.type === "running" ? session.desired.provision?.lastError : null;
      return `Its workspace cannot be prepared: ${sentence(error?.message ?? blocked.code)} It is tried again.`;
    }
    case "unreadable":
    case "newer_record":
      return "Its record cannot be read.";
  }
}
