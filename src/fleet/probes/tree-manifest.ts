/** What a drill reads in the restored workspace: every file whole, every name. By programs that any image has. */

/** One line: files, bytes, and a SHA-256 over the sums of all files and the names of everything else. */
export const manifestCommand = [
  "LC_ALL=C; export LC_ALL",
  `files=$(find . -type f -exec sh -c 'for each; do echo x; done' sh {} + 2>/dev/null | wc -l)`,
  "bytes=$(find . -type f -exec cat {} + 2>/dev/null | wc -c)",
  "sum=$({ find . -type f -exec sha256sum {} + ; find . ! -type f; } 2>/dev/null | sort | sha256sum)",
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
