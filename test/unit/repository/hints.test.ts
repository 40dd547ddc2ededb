/**
 * Every call that Mooring's words tell people to make is one that its routes take: refusals of the machine and of the shell,
 * explanations, diagnoses, and the alerts' commands. That following them works is test/workers/hints.test.ts.
 */
import { describe, expect, it } from "vitest";
import { diagnose, type Symptoms } from "../../../src/explain/diagnosis.ts";
import { explain } from "../../../src/explain/explain.ts";
import { nextCalls, say, type CallHint } from "../../../src/domain/state/next-calls.ts";
import { alertRules } from "../../../src/fleet/alerts/alert-rules.ts";
import { routes } from "../../../src/http/app.ts";
import type { Setback } from "../../../src/domain/state/session.ts";
import type { Problem } from "../../../src/protocol/problem.ts";
import * as refusals from "../../../src/session/commands/refusals.ts";
import * as missing from "../../../src/protocol/not-found.ts";
import { everyEvent } from "../../support/every-event.ts";
import { apply, at, everySession, hour, minute, policy, session, when, discarded } from "../../support/sessions.ts";

interface Named {
  readonly method: string;
  readonly path: string;
}

/** `GET /v1/…`, wherever it stands in a sentence. */
function callsIn(words: string): readonly Named[] {
  return [...words.matchAll(/\b(GET|POST|PUT|PATCH|DELETE) (\/[^\s,;:()]*[^\s,;:().])/g)].map(([, method, path]) => ({
    method: method ?? "",
    path: path ?? "",
  }));
}

function routeOf({ method, path }: Named) {
  return routes.find((route) => {
    const pattern = route.path.replace(/:[a-z]+/g, "[^/]+");
    return route.method === method && new RegExp(`^${pattern}$`).test(path);
  });
}

function expectReal(words: string): readonly Named[] {
  const named = callsIn(words);
  for (const call of named) expect(routeOf(call), `${call.method} ${call.path} in: ${words}`).toBeDefined();
  return named;
}

describe("every hint names a call that is there", () => {
  it("in the table of calls: the route, who may make it, the body it takes [REB-6]", () => {
    for (const [name, hint] of Object.entries(nextCalls) as [string, CallHint][]) {
      const route = routeOf(hint);
      expect(route, name).toBeDefined();
      expect(route?.access, name).toBe(hint.access);
      const body = route?.body;
      if (hint.body !== null && typeof body === "object")
        expect(body.schema.safeParse(hint.body).success, name).toBe(true);
      // A body that the route insists on is never left out.
      if (typeof body === "object" && body.required) expect(hint.body, name).not.toBeNull();
      expect(route?.headers?.includes("if-match") ?? false, name).toBe(hint.ifMatch === true);
      expect(callsIn(`first ${say(hint)}, then (${say(hint)}).`), name).toEqual(
        [1, 2].map(() => ({ method: hint.method, path: hint.path })),
      );
    }
  });

  it("in every refusal of the machine, whatever is asked in whatever state [REB-6]", () => {
    const seen = new Set<string>();
    const many = Array.from({ length: policy.maxDiscarded }, (_, index) =>
      discarded({ id: `s-${index}`, provider: "memory", takenAt: at, generation: session().nextGeneration }),
    );
    const states = [...everySession().map((sample) => sample.session), session({ discarded: many })];
    for (const state of states) {
      for (const event of everyEvent) {
        for (const context of [when(), when(10 * hour)]) {
          const outcome = apply(state, event, context);
          if (outcome.type !== "rejected") continue;
          const { code, detail } = outcome.rejection;
          const named = expectReal(detail);
          // What cannot be done now says what can: a call, or the time at which this one can be made.
          expect(named.length > 0 || outcome.rejection.retryAt !== null, `${event.type}: ${detail}`).toBe(true);
          seen.add(code);
        }
      }
    }
    expect([...seen].sort()).toEqual(
      [
        "conflict",
        "lease_not_expired",
        "not_stuck",
        "sandbox_lost",
        "session_ended",
        "session_not_running",
        "session_paused",
      ].sort(),
    );
  });

  it("in the refusals of the shell [REB-6]", () => {
    const plain = [...Object.values(refusals), ...Object.values(missing)].filter(
      (each): each is Problem => typeof each === "object" && "detail" in each,
    );
    expect(plain.length).toBeGreaterThan(5);
    const setback = (what: Setback, cause: "pause" | "loss") => {
      const refused = refusals.setbackOf({
        ...session(),
        setback: what,
        desired: { type: "suspended", cause, since: at, resumeQueued: false },
      });
      if (refused === null) throw new Error("a setback without a refusal");
      return refused;
    };
    const setbacks = [
      "quota_exhausted",
      "budget_spent",
      "snapshot_missing",
      "snapshot_damaged",
      "provision_timeout",
    ].flatMap((code) =>
      (["paused", "lost"] as const).map((status) =>
        setback({ code, message: "It went wrong", at }, status === "paused" ? "pause" : "loss"),
      ),
    );
    const states = everySession().flatMap(({ session: state }) => {
      const found = [refusals.jobsRefused(state), refusals.endedForData(state), refusals.notRunning(state)];
      return found.filter((each) => each !== null);
    });
    const quota = refusals.refusalProblem({ granted: false, code: "quota_exhausted", limit: 10, used: 10 });
    const budget = refusals.refusalProblem({ granted: false, code: "budget_spent" });
    for (const { code, detail } of [...plain, ...setbacks, ...states, quota, budget]) {
      const named = expectReal(detail);
      // An operator's key is not a call away.
      if (code !== "secret_missing") expect(named.length, detail).toBeGreaterThan(0);
    }
  });

  it("in every explanation of every state [REB-6]", () => {
    for (const { session: state, name } of everySession()) {
      for (const adapterMissing of [false, true]) {
        const { next, others, summary } = explain(state, {
          now: at,
          policy,
          adapterMissing,
          canSave: true,
          queuedJobs: 0,
          etag: "7",
        });
        for (const call of [...(next === null ? [] : [next]), ...others]) {
          const route = routeOf(call);
          expect(route?.access, `${name}: ${call.method} ${call.path}`).toBe(call.access);
          // Filled in: it can be sent as it is.
          expect(call.path).not.toContain("{");
        }
        expectReal(summary);
      }
    }
  });

  it("in what the diagnosis advises [REB-6]", () => {
    const sample = (index: number) => ({
      at: at + index * 30_000,
      cpuSeconds: index * 29,
      memoryBytes: 2 ** 26 * (1 + index),
      diskUsedBytes: null,
      processes: 3,
      operations: 0,
    });
    const job = { id: "j", state: "running", startedAt: at - hour, signal: null, tail: "" };
    const base: Symptoms = {
      now: at + minute,
      samples: [0, 1, 2].map(sample),
      jobs: [job, ...[1, 2, 3].map((index) => ({ ...job, id: `t${index}`, state: "timed_out" }))],
      log: { text: "", silentMs: hour },
      lastActivityAt: at - hour,
      agentType: "coder",
      taskId: null,
    };
    const quiet = { ...base, samples: [0, 1, 2].map((index) => ({ ...sample(index), cpuSeconds: 0 })) };
    const hints = [...diagnose(base), ...diagnose(quiet)];
    expect(new Set(hints.map((hint) => hint.code))).toEqual(
      new Set(["busy_loop", "hang", "no_operations", "memory_growth", "repeated_timeouts", "silence"]),
    );
    for (const hint of hints) expect(expectReal(hint.next).length, hint.code).toBeGreaterThan(0);
  });

  it("in the command of every alert: the route, its query and its body [REB-6]", () => {
    for (const rule of alertRules) {
      const [, address = ""] = /"\$MOORING_URL([^"]+)"/.exec(rule.command) ?? [];
      const [, body] = /-d '([^']+)'/.exec(rule.command) ?? [];
      const url = new URL(address, "http://mooring");
      const route = routeOf({ method: body === undefined ? "GET" : "POST", path: url.pathname });
      expect(route, rule.command).toBeDefined();
      expect(rule.command.includes("$ADMIN_TOKEN"), rule.name).toBe(route?.access === "admin");
      // curl makes one request of each of {a,b}.
      for (const query of expanded(url.searchParams)) {
        if (Object.keys(query).length > 0) expect(route?.query?.safeParse(query).success, rule.command).toBe(true);
      }
      const asked = route?.body;
      if (body !== undefined)
        expect(typeof asked === "object" && asked.schema.safeParse(JSON.parse(body)).success, rule.command).toBe(true);
    }
  });
});

function expanded(query: URLSearchParams): readonly Record<string, string>[] {
  return [...query].reduce<Record<string, string>[]>(
    (made, [name, value]) => {
      const values = /^\{(.*)\}$/.exec(value)?.[1]?.split(",") ?? [value];
      return made.flatMap((each) => values.map((one) => ({ ...each, [name]: one })));
    },
    [{}],
  );
}
