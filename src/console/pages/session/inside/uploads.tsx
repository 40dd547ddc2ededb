/** Uploads of files into a sandbox. A file that exists is replaced only after the reader confirmed it. */
import type { Signal } from "@preact/signals";
import type { ProblemBody } from "../../../../protocol/problem.ts";
import { CallFailed, problemIn } from "../../../data/call.ts";
import { type FileEntry, sizeOf, upload } from "../../../data/files.ts";
import { Chip } from "../../../parts/bits.tsx";

export interface Upload {
  readonly file: File;
  readonly into: FileEntry;
  readonly state: "waiting" | "sending" | "done" | "there" | "failed";
  readonly problem: ProblemBody | null;
}

/** One file after another: each is complete before the next begins, and a browser has few connections. */
export async function uploadAll(
  base: string,
  into: FileEntry,
  files: readonly File[],
  uploads: Signal<readonly Upload[]>,
): Promise<void> {
  uploads.value = files.map((file) => ({ file, into, state: "waiting", problem: null }));
  for (const file of files) await send(base, { file, into }, false, uploads);
}

async function send(
  base: string,
  { file, into }: Pick<Upload, "file" | "into">,
  replace: boolean,
  uploads: Signal<readonly Upload[]>,
): Promise<void> {
  const becomes = (state: Upload["state"], problem: ProblemBody | null = null) => {
    uploads.value = uploads.peek().map((each) => (each.file === file ? { ...each, state, problem } : each));
  };
  becomes("sending");
  try {
    await upload(base, into, file, replace);
    becomes("done");
  } catch (error) {
    const isThere = error instanceof CallFailed && error.problem.code === "precondition_failed";
    becomes(isThere ? "there" : "failed", isThere ? null : problemIn(error));
  }
}

const words = {
  waiting: "waits",
  sending: "on its way",
  done: "uploaded",
  there: "is there already",
  failed: "failed",
};
const tones = { waiting: "quiet", sending: "busy", done: "good", there: "warn", failed: "bad" } as const;

export function Uploads({
  of,
  base,
  onDone,
}: {
  readonly of: Signal<readonly Upload[]>;
  readonly base: string;
  readonly onDone: () => void;
}) {
  if (of.value.length === 0) return null;
  const isOver = of.value.every(({ state }) => state !== "waiting" && state !== "sending");
  return (
    <ul class="lines uploads" aria-label="Uploads" aria-live="polite">
      {of.value.map((each) => (
        <li key={each.file.name}>
          <Chip tone={tones[each.state]}>{words[each.state]}</Chip> <b>{each.file.name}</b>{" "}
          <span class="faint small">{sizeOf(each.file.size)}</span>
          {each.state === "there" && (
            <button type="button" class="danger tiny" onClick={() => void send(base, each, true, of).then(onDone)}>
              Replace it
            </button>
          )}
          {each.problem !== null && <div class="small bad-text">{each.problem.detail}</div>}
        </li>
      ))}
      {isOver && (
        <li>
          <button type="button" class="ghost tiny" onClick={() => (of.value = [])}>
            Close this list
          </button>
        </li>
      )}
    </ul>
  );
}
