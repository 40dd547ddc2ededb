/**
 * `npm run chaos -- [--seed N] [--minutes M | --rounds N] [--sessions N] [--verbose]`: a whole Mooring with real
 * processes, killed, frozen and lied to for as long as asked; then what must be true is looked up in /proc and in every
 * session. Exit 0 only when everything held. Whatever happens, Ctrl-C included, what it started has ended.
 */
import { Journal } from "../../test/chaos/journal.ts";
import { type ChaosOrder, usualTtlMs } from "../../test/chaos/order.ts";
import { report } from "../../test/chaos/report.ts";
import { runChaos } from "../../test/chaos/run.ts";
import { runShared, type SharedOrder, type SharedResult } from "../../test/chaos/shared.ts";
import { bad, bold, dim, good, say, seconds } from "../demo/stage.ts";
import { readCommandLine } from "../command-line.ts";
import { onceAskedToStop } from "../stack/signals.ts";
import { StackFailure } from "../stack/stack.ts";

const usage = `usage: npm run chaos -- [options]
  --seed N        the schedule to play (default: a new one, printed)
  --minutes M     how long faults strike (default 3)
  --rounds N      or after so many rounds
  --sessions N    sessions alive at once, about (default 7)
  --no-figures    skip the twenty sessions at once
  --shared        instead: --sessions N (200) in shared containers of 20, half of them ended at random, 5 a second
  --quick         no fault that takes a minute by itself
  --verbose       a line for each event`;

function refuse(why: string): never {
  process.stderr.write(`${why}\n${usage}\n`);
  process.exit(2);
}

function number(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  return /^\d{1,9}$/.test(text) && Number(text) > 0
    ? Number(text)
    : refuse(`--${name} must be a whole number above 0.`);
}

interface Asked {
  readonly order: ChaosOrder;
  /** null: the usual run. */
  readonly shared: SharedOrder | null;
  readonly verbose: boolean;
}

function asked(args: readonly string[]): Asked {
  try {
    const { values } = readCommandLine(usage, {
      args: [...args],
      options: {
        seed: { type: "string" },
        minutes: { type: "string" },
        rounds: { type: "string" },
        sessions: { type: "string" },
        "no-figures": { type: "boolean", default: false },
        shared: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        verbose: { type: "boolean", default: false },
      },
    });
    const unlimited = Number.MAX_SAFE_INTEGER;
    const order: ChaosOrder = {
      seed: number("seed", values.seed, 1 + Math.floor(Math.random() * 999_999)),
      minutes: number("minutes", values.minutes, values.rounds === undefined ? 3 : unlimited),
      rounds: number("rounds", values.rounds, unlimited),
      sessions: number("sessions", values.sessions, 7),
      figures: !values["no-figures"],
      slowFaults: !values.quick,
      ttlMs: usualTtlMs,
      script: null,
    };
    return { order, shared: values.shared ? sharedOrder(order.seed, values.sessions) : null, verbose: values.verbose };
  } catch (error) {
    return refuse(error instanceof Error ? error.message : "The arguments are wrong.");
  }
}

function sharedOrder(seed: number, asked: string | undefined): SharedOrder {
  const sessions = number("sessions", asked, 200);
  const containers = Math.ceil(sessions / 20);
  return { seed, sessions, containers, stops: Math.floor(sessions / 2), perSecond: 5, patienceMs: 15 * 60_000 };
}

/** Everything that it says must be nothing. */
function unkept({ foreignStruck, signalsCaught, left, containersLeft }: SharedResult): readonly string[] {
  const freed = containersLeft === 0 ? [] : [`${containersLeft} containers were not freed`];
  return [...foreignStruck, ...signalsCaught, ...left, ...freed];
}

const { order, shared, verbose } = asked(process.argv.slice(2));
const stop = onceAskedToStop();
if (shared !== null) {
  const result = await runShared(shared, say, stop.signal);
  say(JSON.stringify(result, null, 2));
  const breaches = unkept(result);
  say(breaches.length === 0 ? good("Everything held.") : bad(`Not everything held: ${breaches.join("; ")}`));
  process.exit(breaches.length === 0 ? 0 : 1);
}
const journal = new Journal(verbose);
say(`${bold("Mooring under chaos")}  ${dim(`seed ${order.seed}; replay the schedule with --seed ${order.seed}`)}`);
try {
  const result = await runChaos(order, journal, stop.signal);
  report(result, journal);
  const held = result.breaches.length === 0;
  const closing = held ? good("Everything held.") : bad("Not everything held.");
  say(`\n${closing} ${dim(`${seconds(journal.elapsedMs)}, seed ${order.seed}.`)}`);
  process.exit(held ? 0 : 1);
} catch (error) {
  if (stop.signal.aborted) {
    say("\nInterrupted. Everything this run started has ended.");
    process.exit(130);
  }
  say(
    `\n${bad("The run broke off.")} ${error instanceof StackFailure ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  process.exit(1);
}
