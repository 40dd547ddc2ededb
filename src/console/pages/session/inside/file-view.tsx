/** One file: its text, its picture, or its first bytes. */
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { ProblemBody } from "../../../../protocol/problem.ts";
import { problemIn, read } from "../../../data/call.ts";
import { type Beginning, download, type FileEntry, readBeginning, shownPath, sizeOf } from "../../../data/files.ts";
import { useLive } from "../../../data/live.ts";
import type { Subject } from "../../../data/session.ts";
import { Copy, Problem, Waiting, When } from "../../../parts/bits.tsx";
import { Icon } from "../../../parts/icon.tsx";

export function FileView({
  subject: { base },
  path,
  back,
}: {
  readonly subject: Subject;
  /** The path, encoded for a query of the API. */
  readonly path: string;
  readonly back: string;
}) {
  const live = useLive(
    `file ${base} ${path}`,
    async (signal) => {
      const [entry, beginning] = await Promise.all([
        read<"statFile">(`${base}/files/stat?path=${path}`, signal),
        readBeginning(base, path, signal),
      ]);
      return { entry, beginning };
    },
    null,
  );
  const { data, problem, loading } = live.state.value;
  const refused = useSignal<ProblemBody | null>(null);
  return (
    <section class="card output" aria-label="File">
      <header>
        <div>
          <h2>
            <a href={back} aria-label="Back to the directory">
              <Icon name="folder" />
            </a>{" "}
            <code>{data?.entry.path ?? shownPath(path)}</code>{" "}
            {data !== null && <Copy text={data.entry.path} label="Copy the path" />}
          </h2>
          {data !== null && (
            <span class="small faint">
              {sizeOf(data.beginning.size)}, {data.entry.owner}, changed <When at={data.entry.modified_at} />
            </span>
          )}
        </div>
        <span class="actions">
          <button type="button" class="ghost" onClick={live.refresh}>
            Read again
          </button>
          <button
            type="button"
            disabled={data === null}
            onClick={() => {
              if (data !== null)
                void download(base, data.entry).catch((error: unknown) => (refused.value = problemIn(error)));
            }}
          >
            <Icon name="down" /> Download
          </button>
        </span>
      </header>
      {refused.value !== null && <Problem problem={refused.value} />}
      {problem !== null && <Problem problem={problem} />}
      {loading && data === null && <Waiting lines={8} />}
      {data !== null && <Content entry={data.entry} beginning={data.beginning} />}
    </section>
  );
}

function Content({ entry, beginning }: { readonly entry: FileEntry; readonly beginning: Beginning }) {
  const { bytes, size } = beginning;
  const picture = bytes.length === size ? pictureType(entry.name) : null;
  if (picture !== null) return <Picture bytes={bytes} type={picture} name={entry.name} />;
  const text = textIn(bytes);
  return (
    <>
      {bytes.length < size && (
        <p class="note">
          These are the first {sizeOf(bytes.length)} of {sizeOf(size)}. Download it to have it whole.
        </p>
      )}
      <pre tabIndex={0} aria-label="Content of the file">
        {size === 0 ? "It is empty." : (text ?? hexOf(bytes))}
      </pre>
    </>
  );
}

/** Not SVG: it is shown as text, so that its markup can be read. */
function pictureType(name: string): string | null {
  const [, ending = ""] = /\.(\w+)$/.exec(name.toLowerCase()) ?? [];
  const types = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp" };
  return (types as Readonly<Record<string, string>>)[ending] ?? null;
}

function Picture({
  bytes,
  type,
  name,
}: {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly name: string;
}) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes], { type }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes]);
  return <div class="picture">{address !== "" && <img src={address} alt={name} />}</div>;
}

/** null: the file is not text. A long file is cut, perhaps within a character. */
function textIn(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  for (let cut = 0; cut < 4 && cut <= bytes.length; cut += 1) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, bytes.length - cut));
    } catch {
      // Up to three bytes of the last character may be missing.
    }
  }
  return null;
}

const shownInHex = 4_096;

/** The layout of `xxd`. */
function hexOf(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, shownInHex); at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  if (bytes.length > shownInHex) lines.push("…");
  return lines.join("\n");
}
