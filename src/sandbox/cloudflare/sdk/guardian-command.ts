/**
 * The command that starts a guardian in the container, and ends the container with it.
 *
 * The shell in front of the guardian stays. A guardian exits only when nothing of its instance is left, or because
 * somebody killed it; either way the container has lost its purpose (with the control plane gone nothing outlives TTL +
 * grace, not even an empty container). The container stays only for another instance of that session that is still in
 * it, or for the guardian that was first.
 *
 * In a shared container nobody inside can know whether a sibling is just being launched. There the guardian exits
 * alone, and the container ends when its registry says so, or when nobody renewed anything in it any more (fence.ts).
 */
import { markers } from "../../../protocol/sandbox/markers.ts";
import type { FenceTerms } from "../fence/fence-dependencies.ts";
import { programsKnow, takeOne } from "./job-user.ts";
import { quoted } from "../platform/toolbox-calls.ts";

/** wrapper/agent/exit-codes.ts: an instance already runs on this state directory, and goes on. */
const alreadyStarted = 66;

export interface GuardianStart {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly generation: number;
  /**
   * Only our user can read this file, so neither the environment nor the SDK's log of commands ever contains the
   * secret.
   */
  readonly bootFile: string;
  /** true: the file has a second line, a document for wrappers of an earlier release (job-user.ts). */
  readonly hasOther: boolean;
  readonly stateDirectory: string;
  /** true: other sandboxes may be in the container. */
  readonly isShared: boolean;
}

export function guardianCommand(start: GuardianStart, { paths, endContainer }: FenceTerms): string {
  const marks = {
    [markers.session]: start.sessionId,
    [markers.instance]: start.instanceId,
    [markers.generation]: String(start.generation),
    [markers.version]: "image",
    [markers.role]: "guardian",
  };
  // The marks are set on the guardian's command alone: the shell is no process of the instance.
  const marked = Object.entries(marks).map(([name, value]) => `${name}=${quoted(value)}`);
  const guardian = [...marked, quoted(paths.node), quoted(paths.wrapper), "guardian"].join(" ");
  return [
    "umask 077",
    `mkdir -p ${quoted(start.stateDirectory)}`,
    // Deleted before any job runs.
    `{ ${taken(start, paths.wrapper).join(" && ")}; } || exit 1`,
    `${guardian} >> ${quoted(`${start.stateDirectory}/guardian.out`)} 2>&1`,
    ...(start.isShared ? [] : ["code=$?", ending(start, endContainer)]),
  ].join("\n");
}

function taken({ bootFile, hasOther }: GuardianStart, wrapper: string): readonly string[] {
  if (hasOther) return takeOne(bootFile, programsKnow(wrapper));
  return [`exec < ${quoted(bootFile)}`, `rm -f ${quoted(bootFile)}`];
}

function ending(start: GuardianStart, endContainer: string): string {
  const mark = quoted(`^${markers.session}=${start.sessionId}$`);
  return `[ "$code" = ${alreadyStarted} ] || grep -qsz ${mark} /proc/[0-9]*/environ || ${endContainer}`;
}
