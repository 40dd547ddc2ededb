/**
 * The user of the jobs of a sandbox that has its container for itself, where the container allows one (docs/decisions/0025).
 *
 * A running container keeps the image that it was started from, and a rollout meets images of before. Their programs refuse an
 * order that says more than they know: so two are written, a line each, and a command in the container takes the one that fits.
 */
import type { JobUser } from "../../../protocol/sandbox/wrapper.ts";
import { quoted } from "../platform/toolbox-calls.ts";

/** The image has it by that number, with that home (Dockerfile). */
export const imageUser: JobUser = { uid: 1_500, gid: 1_500, home_dir: "/home/mooring" };

export function twoLines(withUser: object, without: object): string {
  return `${JSON.stringify(withUser)}\n${JSON.stringify(without)}\n`;
}

/** Shell commands after which standard input is the order that fits, and the file is gone. `condition`: when that is the first line. */
export function takeOne(file: string, condition: string): readonly string[] {
  const taken = `${file}.taken`;
  const files = `${quoted(file)} ${quoted(taken)}`;
  return [
    `sed -n "$(if ${condition}; then echo 1; else echo 2; fi){p;q}" ${quoted(file)} > ${quoted(taken)}`,
    `exec < ${quoted(taken)}`,
    `rm -f ${files}`,
  ];
}

/** The programs of this image know of job users. Asked of the wrapper: a field of its boot document cannot be had without its name. */
export function programsKnow(wrapper: string): string {
  return `grep -q job_user ${quoted(wrapper)}`;
}

/** ... and the container can start something as that user. */
export function canStartAs({ uid, gid }: JobUser): string {
  return `setpriv --reuid=${uid} --regid=${gid} --clear-groups --no-new-privs true 2>/dev/null`;
}
