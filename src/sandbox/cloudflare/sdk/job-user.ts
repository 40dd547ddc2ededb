/**
 * The user of the jobs in an unshared container, where the container supports one (docs/decisions/0025).
 *
 * A running container keeps the image that it was started from, so after a rollout there are images of the earlier
 * release. Their programs refuse an order with fields that they do not know. So two orders are written, one per line,
 * and a command in the container takes the one that fits.
 */
import type { JobUser } from "../../../protocol/sandbox/wrapper.ts";
import { quoted } from "../platform/toolbox-calls.ts";

/** The image has this user, with this number and home (Dockerfile). */
export const imageUser: JobUser = { uid: 1_500, gid: 1_500, home_dir: "/home/mooring" };

export function twoLines(withUser: object, without: object): string {
  return `${JSON.stringify(withUser)}\n${JSON.stringify(without)}\n`;
}

/**
 * Shell commands after which standard input is the order that fits, and the file is deleted. `condition`: a shell
 * condition; if it holds, the first line is taken.
 */
export function takeOne(file: string, condition: string): readonly string[] {
  const taken = `${file}.taken`;
  const files = `${quoted(file)} ${quoted(taken)}`;
  return [
    `sed -n "$(if ${condition}; then echo 1; else echo 2; fi){p;q}" ${quoted(file)} > ${quoted(taken)}`,
    `exec < ${quoted(taken)}`,
    `rm -f ${files}`,
  ];
}

/**
 * True when the programs of this image support job users. It searches the wrapper's program: a field of its boot
 * document cannot be there without its name.
 */
export function programsKnow(wrapper: string): string {
  return `grep -q job_user ${quoted(wrapper)}`;
}

/** True when the container can start something as that user. */
export function canStartAs({ uid, gid }: JobUser): string {
  return `setpriv --reuid=${uid} --regid=${gid} --clear-groups --no-new-privs true 2>/dev/null`;
}
