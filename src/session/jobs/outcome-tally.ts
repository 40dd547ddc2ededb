/**
 * Counts how a session's launches, jobs and provider calls went, for the fleet's alerts. In memory only: the
 * counts travel with every report as one picture since `since`, so a report that is lost or repeated changes nothing, and
 * an eviction loses at most what was counted after the last report that arrived. An alert lives with that; a bill would not.
 */
import type { JobState } from "../../protocol/resources/session/jobs.ts";
import type { Session } from "../../domain/state/session.ts";
import type { JobStore } from "./job-store.ts";
import type { OutcomeCounts } from "../reports/reports.ts";
import type { SessionState } from "../session-state.ts";

type Counted = Exclude<keyof OutcomeCounts, "since">;

export class OutcomeTally {
  #counts: OutcomeCounts;
  /** The states of jobs that ended in a write that may still be rolled back. */
  #uncommitted: JobState[] = [];

  constructor(now: number) {
    this.#counts = {
      since: now,
      launches: 0,
      launched: 0,
      provisionFailures: 0,
      provisionTimeouts: 0,
      jobsEnded: 0,
      jobsTimedOut: 0,
      callsTimedOut: 0,
    };
  }

  get counts(): OutcomeCounts {
    return this.#counts;
  }

  /** A provider did not answer within the bound of its call. */
  callTimedOut(): void {
    this.#add("callsTimedOut", 1);
  }

  /** Counts what each change of the state means. */
  watch(state: SessionState): void {
    let before = state.session;
    state.onChange(() => {
      this.#commit();
      const after = state.session;
      if (after !== before && after !== null) this.#compare(before, after);
      before = after;
    });
  }

  /** The same store; jobs that end are counted once the change is stored. */
  jobs(store: JobStore): JobStore {
    return {
      ...store,
      forget: () => {
        this.#uncommitted = [];
        store.forget();
      },
      settle: (id, result, activity) => {
        const open = store.open().some((job) => job.id === id);
        store.settle(id, result, activity);
        if (open) this.#uncommitted.push(result.state);
      },
      settleHanded: (generation, as, at) => {
        const handed = store.open().filter((job) => job.state !== "queued" && job.generation === generation);
        store.settleHanded(generation, as, at);
        this.#uncommitted.push(...handed.map(() => as));
      },
    };
  }

  #commit(): void {
    const ended = this.#uncommitted;
    this.#uncommitted = [];
    this.#add("jobsEnded", ended.length);
    this.#add("jobsTimedOut", ended.filter((state) => state === "timed_out").length);
  }

  #compare(before: Session | null, after: Session): void {
    const was = before?.newest ?? null;
    const is = after.newest;
    if (is !== null && is.generation !== was?.generation) this.#add("launches", 1);
    if (is?.phase === "held" && (was?.phase !== "held" || was.generation !== is.generation)) this.#add("launched", 1);
    const failuresBefore = failuresOf(before);
    const failures = failuresOf(after);
    if (failures > failuresBefore) this.#add("provisionFailures", failures - failuresBefore);
    if (after.desired.type === "terminated" && before?.desired.type === "running") {
      const { reason } = after.desired;
      if (reason === "provision_timeout") this.#add("provisionTimeouts", 1);
      if (reason === "failed" && before.desired.provision !== null) this.#add("provisionFailures", 1);
    }
  }

  #add(name: Counted, count: number): void {
    if (count > 0) this.#counts = { ...this.#counts, [name]: this.#counts[name] + count };
  }
}

/** Failed openings and launches of the present provision. */
function failuresOf(session: Session | null): number {
  return session?.desired.type === "running" ? (session.desired.provision?.failures ?? 0) : 0;
}
