/** wrangler watches the assets: a file that is written although nothing changed would start the build again, for ever. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repository } from "../repository.ts";

export function writeWhenChanged(file: string, content: Uint8Array | string): void {
  const bytes = Buffer.from(content);
  if (present(file)?.equals(bytes)) return;
  mkdirSync(dirname(file), { recursive: true });
  // Renamed into place: another build may run beside this one, and nobody is ever served half a file.
  const draft = join(repository, "node_modules/.cache", `draft-${process.pid}-${drafts++}`);
  mkdirSync(dirname(draft), { recursive: true });
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
