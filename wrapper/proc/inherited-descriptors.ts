/**
 * Closes descriptors that this process inherited by accident: a lock, a log or a socket of its parent that was not marked
 * close-on-exec. Every job would inherit them too. Node marks the first sixteen and those that follow without a gap.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";

const closeOnExec = 0o2000000;

/** Call it before anything else is opened. Leaves descriptors 0 to 3 (3 is the link to the guardian) and those marked close-on-exec. */
export function closeInheritedDescriptors(): void {
  for (const name of readdirSync("/proc/self/fdinfo")) {
    const descriptor = Number(name);
    if (descriptor <= 3 || isOurs(descriptor)) continue;
    try {
      closeSync(descriptor);
    } catch {
      // The descriptor of the listing itself is closed already.
    }
  }
}

function isOurs(descriptor: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1"))?.[1];
    return flags === undefined || (Number.parseInt(flags, 8) & closeOnExec) !== 0;
  } catch {
    return true;
  }
}
