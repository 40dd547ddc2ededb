/**
 * Broken on purpose: each canary is one plausible mistake in the real sources, and the named test file must notice it. A
 * canary that survives means that a guarantee is not guarded any more. The same files pass in the unbroken copy.
 */
import { afterAll, describe, expect, it } from "vitest";
import { CanaryTree, type Edit } from "../support/canary-tree.ts";

interface Canary {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly caughtBy: string;
}

const proof = "src/domain/proof.ts";
const canaries: readonly Canary[] = [
  {
    name: "absence after one look [I3]",
    edits: [
      {
        file: proof,
        from: "const [first, second] = looks.slice(-2);",
        to: "const [first, second = first] = looks.slice(-2);",
      },
      { file: proof, from: "< policy.absenceLookGapMs)", to: "< 0)" },
    ],
    caughtBy: "test/unit/domain-proof.test.ts",
  },
  {
    name: "unknown read as absent [I4]",
    edits: [{ file: proof, from: 'if (look.answer !== "absent") return', to: 'if (look.answer === "present") return' }],
    caughtBy: "test/unit/domain-proof.test.ts",
  },
  {
    name: "an observation from before the last effect believed [PHY-16]",
    edits: [
      {
        file: proof,
        from: "if (look.beganAt < settledAt || look.beganAt < retired.at) return",
        to: "if (look.beganAt < 0) return",
      },
    ],
    caughtBy: "test/unit/domain-proof.test.ts",
  },
  {
    name: "retirement skipped [I3]",
    edits: [
      {
        file: proof,
        from: 'if (retired === null) return { type: "unproven", why: "its generation is not retired at the provider yet" };',
        to: 'if (retired === null) return { type: "proven", at: settledAt };',
      },
    ],
    caughtBy: "test/unit/domain-proof.test.ts",
  },
  {
    name: "a stop by session instead of instance [LEA-9]",
    edits: [
      {
        file: "src/sandbox/memory/memory-world.ts",
        from: "if (target.instanceId !== null) return process.instanceId === target.instanceId;",
        to: "if (target.instanceId !== null) return true;",
      },
    ],
    caughtBy: "test/contract/memory.test.ts",
  },
  {
    name: "backoff reset by a second stop request [LEA-5]",
    edits: [{ file: "src/domain/lease.ts", from: 'if (lease.phase === "stopping") return lease;', to: "" }],
    caughtBy: "test/unit/domain-stop.test.ts",
  },
  {
    name: "the alarm after the effect, not with the intent [I1]",
    edits: [
      {
        file: "src/session/session-state.ts",
        from: "      this.#ports.alarm.set(this.alarmAt(after, version));\n",
        to: "",
      },
    ],
    caughtBy: "test/simulation/simulation.test.ts",
  },
  {
    name: "a generation reused [I2]",
    edits: [
      {
        file: "src/domain/on-launch.ts",
        from: "nextGeneration: Math.max(session.nextGeneration, nextGeneration(event.candidate.generation)) as Generation,",
        to: "nextGeneration: session.nextGeneration,",
      },
    ],
    caughtBy: "test/unit/domain-launch.test.ts",
  },
  {
    name: "quota freed when the stop begins [I11]",
    edits: [
      {
        file: "src/tenant/registry.ts",
        from: 'if (lease.phase !== "closed") return lease.asserted ? "asserted" : lease.phase;',
        to: 'if (lease.phase !== "closed") return lease.phase === "stopping" ? "proven" : lease.phase;',
      },
    ],
    caughtBy: "test/unit/registry.test.ts",
  },
  {
    name: "a late reply adopted [LEA-8]",
    edits: [
      {
        file: "src/domain/on-stop.ts",
        from: 'if (lease.step.type !== "acting" || lease.step.attemptId !== event.attemptId)',
        to: 'if (lease.step.type !== "acting")',
      },
    ],
    caughtBy: "test/unit/domain-stop.test.ts",
  },
  {
    name: "an idle clock that fires without asking [CLK-9]",
    edits: [
      {
        file: "src/domain/clocks.ts",
        from: 'if (lease?.phase !== "held") return true;\n  return (',
        to: 'if (lease?.phase !== "nothing") return true;\n  return (',
      },
    ],
    caughtBy: "test/unit/domain-clocks.test.ts",
  },
  {
    name: "a load from storage that leaves its alarm an hour ahead [I5]",
    edits: [
      {
        file: "src/session/commands.ts",
        from: 'if (this.state.mode.type !== "absent") void this.engine.noticeAlarm();',
        to: "",
      },
    ],
    caughtBy: "test/unit/session-regressions-clocks.test.ts",
  },
];

const tree = new CanaryTree();
afterAll(() => tree.remove());

describe("a broken variant", () => {
  it.each(canaries)("is noticed: $name", { timeout: 180_000 }, async ({ edits, caughtBy }) => {
    const { failed } = await tree.run(edits, caughtBy);
    expect(failed, caughtBy).toBeGreaterThan(0);
  });

  it("is the only thing that fails: unbroken, the same file passes", { timeout: 180_000 }, async () => {
    const { passed, failed } = await tree.run([], "test/unit/domain-proof.test.ts");
    expect(failed).toBe(0);
    expect(passed).toBeGreaterThan(0);
  });
});
