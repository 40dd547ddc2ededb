/** Directories that are hard to copy, and a description of one that is equal exactly when the directories are. */
import { createHash } from "node:crypto";
import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SeededRandom } from "./seeded-random.ts";

const oddNames = [
  "with space",
  " leading and trailing ",
  "ünïcødé-日本語-🦄",
  "e\u0301 decomposed",
  "line\nbreak",
  "tab\tand\\backslash",
  "-rf",
  "--checkpoint=1",
  "'quote\"",
  "$(touch pwned)",
  "*",
  ".hidden",
  "x".repeat(200),
];

/** `count` files of 0 bytes to some 60 kB in nested directories, and one of everything odd. */
export function makeTree(directory: string, random: SeededRandom, count: number): void {
  mkdirSync(directory, { recursive: true });
  for (const name of oddNames) writeFileSync(join(directory, name), `content of ${name}`);
  // A name that is not text at all.
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0x66, 0xff, 0xfe])]), "bytes");
  for (let index = 0; index < count; index += 1) {
    const inside = join(directory, `d${index % 7}`, `${oddNames[index % 4] ?? ""} ${index % 3}`);
    mkdirSync(inside, { recursive: true });
    const size = index % 10 === 0 ? 0 : Math.floor(random.next() ** 4 * 60_000);
    const file = join(inside, `file ${index}`);
    writeFileSync(file, Buffer.alloc(size, `${index} ${random.next()}`));
    chmodSync(file, [0o644, 0o600, 0o755, 0o444, 0o400][index % 5] ?? 0o644);
    utimesSync(file, 1_600_000_000 + index, 1_600_000_000 + index * 1.5);
  }
  mkdirSync(join(directory, "empty"));
  mkdirSync(join(directory, "closed"), { mode: 0o755 });
  writeFileSync(join(directory, "closed", "inside"), "read only directory");
  chmodSync(join(directory, "closed"), 0o555);
  symlinkSync("with space", join(directory, "link"));
  symlinkSync("/etc/passwd", join(directory, "link out"));
  symlinkSync("nowhere/at/all", join(directory, "dangling"));
  symlinkSync(".", join(directory, "loop"));
  linkSync(join(directory, "with space"), join(directory, "hard link"));
  writeFileSync(join(directory, "sparse"), "begin");
  truncateSync(join(directory, "sparse"), 5_000_000);
}

/** One line an entry, sorted: name, type, mode, time, contents or target, and which names are one file. */
export function describeTree(directory: string): readonly string[] {
  const firstName = new Map<number, string>();
  const lines: string[] = [];
  const visit = (path: Buffer, shown: string): void => {
    const stats = lstatSync(path);
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isSymbolicLink()) {
      lines.push(`${shown} -> ${readlinkSync(path)}`);
      return;
    }
    if (stats.isDirectory()) {
      lines.push(`${shown}/ ${mode} ${stats.mtimeMs}`);
      for (const name of readdirSync(path, { encoding: "buffer" })) {
        visit(Buffer.concat([path, Buffer.from("/"), name]), `${shown}/${name.toString("latin1")}`);
      }
      return;
    }
    const twin = firstName.get(stats.ino);
    if (twin === undefined) firstName.set(stats.ino, shown);
    const hash = createHash("sha256").update(readFileSync(path)).digest("hex");
    lines.push(`${shown} ${mode} ${stats.mtimeMs} ${stats.nlink} ${hash}`);
  };
  visit(Buffer.from(directory), "");
  return lines.sort();
}
