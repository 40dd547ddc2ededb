/** Asks for confirmation before something ends. Without a terminal nobody can answer, so the command needs `--yes`. */
import { confirm, isCancel, password, text } from "@clack/prompts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault, Interrupted } from "../fault.ts";
import type { Screen } from "./screen.ts";

export async function confirmed(screen: Screen, question: string): Promise<void> {
  if (!screen.isLive)
    throw new CliFault(
      exitCodes.usage,
      `${question}\n  Nothing was done: there is no terminal to ask on.`,
      "the same command with --yes",
    );
  const answer = await confirm({ message: `${question}. Go on?`, initialValue: false, output: process.stderr });
  if (isCancel(answer)) throw new Interrupted();
  if (!answer) throw new CliFault(exitCodes.refused, "Nothing was done.");
}

/** Asks for a text that the command needs and did not get. */
export async function askedFor(screen: Screen, what: string, flag: string, usual?: string): Promise<string> {
  if (!screen.isLive)
    throw new CliFault(
      exitCodes.usage,
      `${what} is missing, and there is no terminal to ask on.`,
      `the same command with ${flag}`,
    );
  const answer = await text({
    message: what,
    output: process.stderr,
    ...(usual === undefined ? {} : { initialValue: usual }),
  });
  if (isCancel(answer)) throw new Interrupted();
  return answer ?? "";
}

/** Asks for a secret. What is typed shows as dots. */
export async function askedForSecret(what: string): Promise<string> {
  const answer = await password({ message: what, output: process.stderr });
  if (isCancel(answer)) throw new Interrupted();
  return (answer ?? "").trim();
}
