/** The environment of the processes of an instance: a clean base and the markers. Nothing of the launcher leaks through. */
import { markers, type MarkerRole } from "../../src/protocol/sandbox/markers.ts";

export interface InstanceMarks {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly generation: number;
}

/** Marks the processes of one job, so that they can be ended without those of another. */
export const jobMarker = "MOORING_JOB_ID";

const inherited = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"] as const;

export function baseEnvironment(from: NodeJS.ProcessEnv): Record<string, string> {
  const base: Record<string, string> = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
  };
  for (const name of inherited) {
    const value = from[name];
    if (value !== undefined) base[name] = name === "PATH" ? withoutLauncher(value) : value;
  }
  return base;
}

/** Removes what npm puts in front of PATH for a script; jobs would run tools of this project instead of the system's. */
function withoutLauncher(path: string): string {
  return path
    .split(":")
    .filter((place) => place.startsWith("/") && !/\/(node_modules\/\.bin|node-gyp-bin)\/?$/.test(place))
    .join(":");
}

export function markedEnvironment(
  marks: InstanceMarks,
  role: MarkerRole,
  version: string,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    ...own,
    [markers.session]: marks.sessionId,
    [markers.instance]: marks.instanceId,
    [markers.generation]: String(marks.generation),
    [markers.version]: version,
    [markers.role]: role,
  };
}
