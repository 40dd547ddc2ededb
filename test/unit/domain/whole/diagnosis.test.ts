/** Hints from figures and words, by the runbook's tables: each pattern is named when it is there, and not when it is not. */
import { describe, expect, it } from "vitest";
import { diagnose, type JobSymptom, type ResourceSample, type Symptoms } from "../../../../src/explain/diagnosis.ts";

const began = Date.UTC(2026, 0, 1);
const second = 1_000;
const mebibyte = 2 ** 20;

const running: JobSymptom = { id: "job", state: "running", startedAt: began, signal: null, tail: "" };

function sample(atSecond: number, changes: Partial<ResourceSample> = {}): ResourceSample {
  return {
    at: began + atSecond * second,
    cpuSeconds: 1,
    memoryBytes: 100 * mebibyte,
    diskUsedBytes: null,
    processes: 3,
    operations: 1_000,
    ...changes,
  };
}

function codes(changes: Partial<Symptoms>): readonly string[] {
  const symptoms: Symptoms = {
    now: began + 600 * second,
    samples: [],
    jobs: [running],
    log: null,
    lastActivityAt: began + 600 * second,
    agentType: "coder",
    taskId: null,
    ...changes,
  };
  return diagnose(symptoms).map((hint) => hint.code);
}

describe("a diagnosis", () => {
  it("tells a busy loop from a hang from honest work by CPU and operations [FLT-19]", () => {
    const before = sample(590);
    const loop = sample(600, { cpuSeconds: 11 });
    const hang = sample(600, { cpuSeconds: 1.01, operations: 1_010 });
    const work = sample(600, { cpuSeconds: 11, operations: 60_000 });
    expect(codes({ samples: [before, loop] })).toEqual(["busy_loop", "no_operations"]);
    expect(codes({ samples: [before, hang] })).toEqual(["hang", "no_operations"]);
    expect(codes({ samples: [before, work] })).toEqual([]);
    // On a host that is full a loop gets less than a core.
    expect(codes({ samples: [before, sample(600, { cpuSeconds: 5 })] })).toEqual(["busy_loop", "no_operations"]);
    // Nothing runs, or it has only just begun: idle is no symptom.
    expect(codes({ samples: [before, hang], jobs: [] })).toEqual([]);
    const fresh = { ...running, startedAt: began + 595 * second };
    expect(codes({ samples: [before, hang], jobs: [fresh] })).toEqual([]);
  });

  it("guesses nothing from what was not measured [FLT-19]", () => {
    expect(codes({ samples: [sample(600, { cpuSeconds: 600 })] })).toEqual([]);
    const uncounted = [sample(590, { operations: null }), sample(600, { operations: null })];
    expect(codes({ samples: uncounted })).toEqual([]);
  });

  it("names memory that only grows, and not memory that comes back [FLT-19]", () => {
    const grown = [100, 160, 220].map((size, index) =>
      sample(index * 20, { memoryBytes: size * mebibyte, operations: 9_999 * index }),
    );
    expect(codes({ samples: grown })).toEqual(["memory_growth"]);
    const back = [100, 260, 220].map((size, index) =>
      sample(index * 20, { memoryBytes: size * mebibyte, operations: 9_999 * index }),
    );
    expect(codes({ samples: back })).toEqual([]);
  });

  it.each([
    ["timed_out", "request to api timed out after 30 s"],
    ["stack_exceeded", "RangeError: Maximum call stack size exceeded"],
    ["out_of_memory", "FATAL ERROR: Reached heap limit - JavaScript heap out of memory"],
  ] as const)("quotes the line that says %s [FLT-19]", (code, line) => {
    const jobs = [{ ...running, state: "failed", tail: `fine\n${line}\nbye` }];
    const hints = diagnose({
      now: began,
      samples: [],
      jobs,
      log: null,
      lastActivityAt: began,
      agentType: "a",
      taskId: null,
    });
    expect(hints.map((hint) => hint.code)).toEqual([code]);
    expect(hints[0]?.detail).toContain(line);
    expect(codes({ log: { text: line, silentMs: 0 }, jobs: [] })).toEqual([code]);
    expect(codes({ log: { text: "all is well", silentMs: 0 }, jobs: [] })).toEqual([]);
  });

  it("names silence only while a job runs and nobody asked for anything [FLT-19]", () => {
    const log = { text: "", silentMs: 400 * second };
    const lastActivityAt = began + 100 * second;
    expect(codes({ log, lastActivityAt })).toEqual(["silence"]);
    expect(codes({ log })).toEqual([]);
    expect(codes({ log, lastActivityAt, jobs: [] })).toEqual([]);
  });

  it("counts repeated timeouts, and says when nobody can tell whose work it is [FLT-19]", () => {
    const late = { ...running, state: "timed_out" };
    expect(codes({ jobs: [late, late, late] })).toEqual(["repeated_timeouts"]);
    expect(codes({ jobs: [late, late] })).toEqual([]);
    expect(codes({ jobs: [], agentType: null })).toEqual(["no_task_or_agent"]);
    expect(codes({ jobs: [], agentType: null, taskId: "t-1" })).toEqual([]);
  });
});
