/** What a process that this instance starts for its session finds in its environment. */
import { readFileSync } from "node:fs";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import { baseEnvironment, markedEnvironment } from "../../proc/marked-environment.ts";
import { version } from "../version.ts";

export function jobEnvironment(boot: WrapperBoot, own: Readonly<Record<string, string>>): Record<string, string> {
  const marks = { sessionId: boot.session_id, instanceId: boot.instance_id, generation: boot.generation };
  return markedEnvironment(marks, "job", version, { ...ownBase(boot), ...boot.env, ...own });
}

/** Of a job that does not run as we do: neither our home, nor our name, nor our place for temporary files, which may be closed to it. */
function ownBase({ job_user: user, workspace_dir: workspace }: WrapperBoot): Readonly<Record<string, string>> {
  const ours = baseEnvironment(process.env);
  if (user === undefined) return ours;
  const { TMPDIR: _closed, ...base } = ours;
  const name = nameOf(user.uid, passwd()) ?? "job";
  return { ...base, HOME: user.home_dir ?? workspace, USER: name, LOGNAME: name };
}

/** null: the number has no name here, as is usual for one that only a launch gave out. */
export function nameOf(uid: number, passwdText: string): string | null {
  const rows = passwdText.split("\n").map((line) => line.split(":"));
  return rows.find(([, , number]) => number === String(uid))?.[0] ?? null;
}

function passwd(): string {
  try {
    return readFileSync("/etc/passwd", "utf8");
  } catch {
    return "";
  }
}
