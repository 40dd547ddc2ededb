/**
 * What a drill reads in the restored workspace: whole, every file that its jobs may read, and the name of everything. By programs that
 * any image has.
 */

/** One line: the files that were read, their bytes, and a SHA-256 over the sums of these files and over all names. */
export const manifestCommand = [
  "LC_ALL=C; export LC_ALL",
  "sums=$(find . -type f -exec sha256sum {} + 2>/dev/null | sort)",
  `files=$(printf '%s\\n' "$sums" | grep -c .)`,
  "bytes=$(find . -type f -exec cat {} + 2>/dev/null | wc -c)",
  `sum=$({ printf '%s\\n' "$sums"; find . 2>/dev/null | sort; } | sha256sum)`,
  'echo "$files $bytes ${sum%% *}"',
].join("\n");

export interface TreeManifest {
  readonly files: number;
  readonly bytes: number;
  readonly manifest: string;
}

/** null: that is not what the command says. */
export function readManifest(output: string): TreeManifest | null {
  const [, files, bytes, manifest] = /^\s*(\d{1,15})\s+(\d{1,15})\s+([0-9a-f]{64})\s*$/.exec(output) ?? [];
  if (files === undefined || bytes === undefined || manifest === undefined) return null;
  return { files: Number(files), bytes: Number(bytes), manifest };
}

/** null: the same tree. */
export function differenceOf(before: TreeManifest, now: TreeManifest): string | null {
  if (before.files !== now.files) return `it had ${before.files} files and now has ${now.files}`;
  if (before.bytes !== now.bytes) return `it had ${before.bytes} bytes and now has ${now.bytes}`;
  return before.manifest === now.manifest ? null : "a name or the contents of a file are not what they were";
}
