/** A file of `NAME=value` lines that only its owner can read. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";

const lineForm = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/;

/** The lines of `file` by name. Empty when there is no such file; lines that are no `NAME=value` are left out. */
export function readSecretFile(file: string): Map<string, string> {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const found = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = lineForm.exec(line) ?? [];
    if (name !== undefined && value !== undefined) found.set(name, value.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return found;
}

/** The numbers of the lines that hold something else, which writing the file would lose. */
export function otherLines(file: string): readonly number[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split(/\r?\n/);
  return lines.flatMap((line, index) => (line.trim() === "" || lineForm.test(line) ? [] : [index + 1]));
}

/** Whole, or as it was: it is the only copy. */
export function writeSecretFile(file: string, secrets: ReadonlyMap<string, string>): void {
  const beside = `${file}.new`;
  // A file that is already there would keep its old mode.
  rmSync(beside, { force: true });
  const descriptor = openSync(beside, "wx", 0o600);
  try {
    writeSync(descriptor, [...secrets].map(([name, value]) => `${name}=${value}\n`).join(""));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(beside, file);
}
