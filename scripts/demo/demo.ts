/**
 * `npm run demo -- [--open] [--patient]`: the main job of Mooring on this machine, told as a story in under a minute, in a state directory of its
 * own. Exit 0 only when everything held and the host confirms that no process is left; else 1, with what was left or
 * surprising. `--open` shows it in the console too, and waits at the end for a Ctrl-C where somebody can press it. `--patient` gives a busy
 * machine longer clocks. Whatever happens, Ctrl-C included, sandboxes, workerd and host are ended and the directory is removed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { openBrowser } from "../../src/cli/screen/browser.ts";
import { type Figures, figureLines } from "./figures.ts";
import { bad, bold, dim, good, say, seconds } from "./stage.ts";
import { type Clocks, patientClocks, shortClocks, Story, Surprise, varsOf } from "./story.ts";
import { readCommandLine } from "../command-line.ts";
import { onceAskedToStop, type StopRequest } from "../stack/signals.ts";
import { Stack, StackFailure } from "../stack/stack.ts";

type Ending = "held" | "failed" | "interrupted";

async function perform(directory: string, stop: StopRequest, open: boolean, clocks: Clocks): Promise<Ending> {
  const began = performance.now();
  say(`${bold("Mooring")}  ${dim("the life and the proven end of an agent sandbox, on this machine")}\n`);
  say(dim("Starting the local sandbox host and workerd (wrangler dev) …"));
  let stack: Stack | null = null;
  let story: Story | null = null;
  let figures: Figures | null = null;
  let ending: Ending;
  try {
    stack = await Stack.start(
      {
        stateDirectory: directory,
        secretsFile: join(directory, "secrets"),
        port: 0,
        vars: varsOf(clocks),
        faults: false,
        reload: false,
        cronSeconds: 10,
        endSandboxes: true,
      },
      stop.signal,
    );
    say(
      dim(
        `Ready after ${seconds(performance.now() - began)} at ${stack.url}, with short clocks: a lease of ${clocks.leaseSeconds} s.`,
      ),
    );
    const key = await stack.apiKey("demo");
    if (open) await openConsole(stack.url, key);
    story = new Story(stack, key, clocks, stop.signal);
    figures = await Promise.race([story.tell(), crash(stack, stop)]);
    ending = "held";
  } catch (error) {
    ending = stop.signal.aborted ? "interrupted" : "failed";
    say(
      ending === "interrupted"
        ? "\nInterrupted. Ending what still runs …"
        : `\n${bad("It did not go as promised.")} ${words(error)}`,
    );
    const [load = 0] = loadavg();
    // Its clocks are short so that the story is.
    if (ending === "failed" && load > availableParallelism())
      say(
        dim(
          "This machine is busy, and the story's clocks are short: `npm run demo -- --patient` gives it longer ones.",
        ),
      );
  }
  if (open && ending === "held" && process.stdin.isTTY) {
    say(dim("\nThe console goes on showing it. Ctrl-C ends everything."));
    await Promise.race([stop.asked, stack?.crashed()]);
  }
  const cleaned = stack === null || (await end(stack, story, clocks));
  if (cleaned && figures !== null) {
    say(`\n${bold("Figures")}`);
    for (const figure of figureLines(figures)) say(figure);
    const all = seconds(performance.now() - began);
    say(`\n${good("Everything held.")} ${dim(`${all} in all; everything this demo started has ended.`)}`);
  }
  if (cleaned && ending === "interrupted") say(dim("Everything this demo started has ended."));
  return cleaned ? ending : "failed";
}

/** Signed in as the story's tenant, by a link that is good for a minute. */
async function openConsole(url: string, key: string): Promise<void> {
  const headers = { authorization: `Bearer ${key}` };
  const answer = await fetch(`${url}/console/ticket`, { method: "POST", headers });
  const { path } = (await answer.json()) as { readonly path: string };
  const isOpen = await openBrowser(`${url}${path}`, process.env);
  say(isOpen ? "The console is open in your browser." : `Open the console within a minute: ${bold(`${url}${path}`)}`);
}

/** Ends the sandboxes that are left, then the stack. False when something could not be ended. */
async function end(stack: Stack, story: Story | null, clocks: Clocks): Promise<boolean> {
  const left = await stack.residue(story?.sessions).catch(() => []);
  if (left.length > 0) {
    const sandboxes = new Set(left.map((each) => each.session_id)).size;
    say(dim(`Ending ${left.length} processes of ${sandboxes === 1 ? "1 sandbox" : `${sandboxes} sandboxes`} …`));
  }
  await stack.stop();
  const how = await stack.host?.ended;
  if (how === undefined || how === "exit code 0") return true;
  say(
    bad(
      `The local host could not end every sandbox (${how}); each ends by itself within its lease of ${clocks.leaseSeconds} s.`,
    ),
  );
  return false;
}

async function crash(stack: Stack, stop: StopRequest): Promise<never> {
  const what = await stack.crashed();
  // After Ctrl-C the parts end because we stop them; the story tells that itself.
  if (stop.signal.aborted) await new Promise(() => {});
  throw new StackFailure(what);
}

function words(error: unknown): string {
  if (error instanceof StackFailure || error instanceof Surprise) return error.message;
  return error instanceof Error ? error.message : String(error);
}

const { values } = readCommandLine("Usage: npm run demo -- [--open] [--patient]", {
  options: { open: { type: "boolean", default: false }, patient: { type: "boolean", default: false } },
});
const stop = onceAskedToStop();
const directory = mkdtempSync(join(tmpdir(), "mooring-demo-"));
let ending: Ending = "failed";
try {
  ending = await perform(directory, stop, values.open, values.patient ? patientClocks : shortClocks);
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(ending === "held" ? 0 : ending === "interrupted" ? 130 : 1);
