/**
 * What only an account can answer, each asked of the probe's Worker: the same code asks the containers of a developer's machine, where the
 * answers are known to differ. An answer is one line for the table; nothing here judges it.
 */
import type { BoxLook, BoxTiming } from "./box-look.ts";

/** One call of the probe's Worker. Rejects with what it said. */
export type Ask = <T>(box: string, call: string, argument?: unknown) => Promise<T>;

export interface QuestionTools {
  readonly ask: Ask;
  /** A container that nobody used before. */
  readonly fresh: () => string;
  readonly wait: (ms: number) => Promise<void>;
  /** How long a hold is tried. */
  readonly holdMs: number;
}

export interface Question {
  readonly id: string;
  readonly question: string;
  /** What Mooring takes for granted. */
  readonly expected: string;
  readonly measure: (tools: QuestionTools) => Promise<string>;
}

const idle = { entrypoint: ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"] };
const timedStarts = 5;

export const questions: readonly Question[] = [
  {
    id: "capabilities",
    question: "Does a command have capabilities after setpriv with an empty bounding set?",
    expected: "CapEff and CapBnd of zeros, NoNewPrivs 1",
    measure: async ({ ask, fresh }) => {
      const box = fresh();
      await ask(box, "start", [idle]);
      const flags = "--reuid=1000 --regid=1000 --clear-groups --bounding-set=-all --inh-caps=-all --ambient-caps=-all";
      const told = await ask<{ stdout: string; stderr: string }>(box, "exec", [
        "/bin/sh",
        "-c",
        `setpriv ${flags} --no-new-privs -- grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs)' /proc/self/status`,
      ]);
      await ask(box, "destroy");
      const lines = told.stdout.trim().replaceAll(/\s*\n\s*/g, ", ");
      return lines === "" ? `nothing: ${told.stderr.trim()}` : lines.replaceAll(/\s+/g, " ");
    },
  },
  {
    id: "restart",
    question: "Does a main process that fails stay down?",
    expected: "not running, null",
    measure: async ({ ask, fresh }) => {
      const box = fresh();
      await ask(box, "start", [{ entrypoint: ["/bin/sh", "-c", "sleep 2; exit 3"] }]);
      const seen = await ask<string[]>(box, "watch", { times: 20, everyMs: 500 });
      await ask(box, "destroy");
      return told(seen);
    },
  },
  {
    id: "stop",
    question: "What do `running` and `inspect()` say while a container stops?",
    expected: "running, inspected; then not running, null",
    measure: async ({ ask, fresh }) => {
      const box = fresh();
      await ask(box, "start", [
        { entrypoint: ["/bin/sh", "-c", "trap 'sleep 3; exit 0' TERM; while :; do sleep 1; done"] },
      ]);
      await ask(box, "exec", ["true"]);
      await ask(box, "signal", 15);
      const seen = await ask<string[]>(box, "watch", { times: 16, everyMs: 500 });
      await ask(box, "destroy");
      return told(seen);
    },
  },
  {
    id: "labels",
    question: "Are the labels still there when the object was built anew?",
    expected: "the same labels",
    measure: async ({ ask, fresh }) => {
      const box = fresh();
      await ask(box, "start", [{ ...idle, labels: { launch: "one" } }]);
      await ask(box, "exec", ["true"]);
      await ask(box, "hold", 60_000);
      await ask(box, "restart").catch(() => {});
      const { running, inspected } = await ask<BoxLook>(box, "look");
      await ask(box, "destroy");
      return `${running ? "running" : "not running"}, labels ${JSON.stringify(inspected?.labels ?? null)}`;
    },
  },
  {
    id: "start",
    question: `How long from start() to the end of a first command, on ${timedStarts} objects that never had a container?`,
    expected: "92 to 1,300 ms",
    measure: async ({ ask, fresh }) => {
      const times: number[] = [];
      for (let at = 0; at < timedStarts; at += 1) {
        const box = fresh();
        const { came, ms } = await ask<BoxTiming>(box, "time", idle);
        await ask(box, "destroy");
        if (came !== "started") return `failed: ${came}`;
        times.push(ms);
      }
      return `${times.map((ms) => `${ms} ms`).join(", ")}`;
    },
  },
  {
    id: "hold",
    question: "Does a look at an object that was out of memory prolong its container?",
    expected: "running when looked at before the end of the hold, gone when looked at a minute after it",
    measure: async ({ ask, fresh, wait, holdMs }) => {
      const box = fresh();
      await ask(box, "start", [idle]);
      await ask(box, "exec", ["true"]);
      await ask(box, "hold", holdMs);
      await ask(box, "restart").catch(() => {});
      await wait(holdMs / 2);
      const within = await ask<BoxLook>(box, "look");
      await wait(holdMs);
      const after = await ask<BoxLook>(box, "look");
      await ask(box, "destroy");
      const word = ({ running }: BoxLook): string => (running ? "running" : "gone");
      return `${word(within)} after ${holdMs / 2_000} s, ${word(after)} after ${(1.5 * holdMs) / 1_000} s of a hold of ${holdMs / 1_000} s`;
    },
  },
  {
    id: "basic",
    question: "Does the platform take the size `basic`?",
    expected: "refused at once",
    measure: async ({ ask, fresh }) => {
      const box = fresh();
      const { came, ms } = await ask<BoxTiming>(box, "time", { ...idle, instance: "basic" });
      await ask(box, "destroy").catch(() => {});
      return came === "started" ? `taken, first command after ${ms} ms` : `refused: ${came}`;
    },
  },
];

/** Each state once, in order. */
function told(seen: readonly string[]): string {
  return seen.filter((one, at) => one !== seen[at - 1]).join("; then ");
}

export interface Answered {
  readonly question: Question;
  readonly answer: string;
}

/** One after the other; one that fails is a line of the table, too. */
export async function answersOf(tools: QuestionTools, say: (line: string) => void): Promise<readonly Answered[]> {
  const answers: Answered[] = [];
  for (const question of questions) {
    say(`${question.id}: ${question.question}`);
    const answer = await question.measure(tools).catch((error: unknown) => `could not be measured: ${String(error)}`);
    answers.push({ question, answer });
  }
  return answers;
}

/** For docs/operations.md: a table in Markdown. */
export function tableOf(answers: readonly Answered[]): string {
  const rows = answers.map(({ question, answer }) => [question.id, question.question, question.expected, answer]);
  const cells = [["", "question", "Mooring expects", "measured"], ["---", "---", "---", "---"], ...rows];
  return cells.map((row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}
