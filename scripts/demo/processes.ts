/** What a process weighs, from /proc. */
import { readFileSync } from "node:fs";

export interface Weight {
  /** Resident, in bytes. Two processes of one program count what they share twice. */
  readonly resident: number;
  /** Of that, what is theirs alone: anonymous memory. */
  readonly own: number;
}

/** Zero when the process has ended. */
export function weigh(pid: number): Weight {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1_024;
    return { resident: bytes("VmRSS"), own: bytes("RssAnon") };
  } catch {
    return { resident: 0, own: 0 };
  }
}
