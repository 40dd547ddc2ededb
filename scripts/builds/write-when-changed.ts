/** wrangler watches the assets: a file that is written although nothing changed would start the build again, for ever. */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repository } from "../repository.ts";

export function writeWhenChanged(file: string, content: Uint8Array | string): void {
  const bytes = Buffer.from(content);
  if (present(file)?.equals(bytes)) return;
  mkdirSync(dirname(file), { recursive: true });
  // Renamed into place: another build may run beside this one, and nobody is ever served half a file.
  const name = `draft-${process.pid}-${drafts++}`;
  const cache = join(repository, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  // A rename does not cross file systems, and /tmp may be one of its own.
  const isNear = statSync(cache).dev === statSync(dirname(file)).dev;
  const draft = isNear ? join(cache, name) : `${file}.${name}`;
  writeFileSync(draft, bytes);
  renameSync(draft, file);
}
let drafts = 0;

function present(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}
