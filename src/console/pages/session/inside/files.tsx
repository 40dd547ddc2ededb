/** Files of the sandbox: list directories, show, download and upload files. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { ProblemBody } from "../../../../protocol/problem.ts";
import { problemIn } from "../../../data/call.ts";
import {
  download,
  encodedPath,
  type FileEntry,
  isDirectory,
  isFile,
  type Listing,
  listDirectory,
  mostDownloaded,
  sizeOf,
} from "../../../data/files.ts";
import { useLive } from "../../../data/live.ts";
import { route } from "../../../data/route.ts";
import type { Subject } from "../../../data/session.ts";
import { announce, Empty, Problem, Waiting, When } from "../../../parts/bits.tsx";
import { Icon } from "../../../parts/icon.tsx";
import { FileView } from "./file-view.tsx";
import { OnlyOwn } from "./only-own.tsx";
import { Uploads, type Upload, uploadAll } from "./uploads.tsx";
import { number, roomy, Table, unseen } from "../../../parts/table.tsx";

export function Files({ subject }: { readonly subject: Subject }) {
  return (
    <OnlyOwn subject={subject} what="Files">
      <Browser subject={subject} />
    </OnlyOwn>
  );
}

function Browser({ subject }: { readonly subject: Subject }) {
  const { base, id } = subject;
  const path = queryValue("path");
  const file = queryValue("file");
  const live = useLive(`files ${base} ${path}`, (signal) => listDirectory(base, path, signal), null);
  const { data, problem, loading } = live.state.value;
  const uploads = useSignal<readonly Upload[]>([]);
  const over = useSignal(false);
  const chosen = useRef<HTMLInputElement>(null);
  const take = (given: FileList | null | undefined) => {
    if (data !== null && given != null && given.length > 0)
      void uploadAll(base, data.at, [...given], uploads).then(live.refresh);
  };
  if (file !== "") return <FileView subject={subject} path={file} back={addressOf(id, path)} />;
  return (
    <section
      class={`card files ${over.value ? "over" : ""}`}
      aria-label="Files"
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      <header>
        {data === null ? <h2>Files</h2> : <Crumbs id={id} at={data.at} />}
        <span class="actions">
          <button type="button" class="ghost" onClick={live.refresh}>
            Look again
          </button>
          <button type="button" disabled={data === null} onClick={() => chosen.current?.click()}>
            Upload …
          </button>
          <input
            ref={chosen}
            type="file"
            multiple
            hidden
            aria-label="Files to upload"
            onChange={(event) => {
              take(event.currentTarget.files);
              event.currentTarget.value = "";
            }}
          />
        </span>
      </header>
      <Uploads of={uploads} base={base} onDone={live.refresh} />
      {problem !== null && <Problem problem={problem} />}
      {loading && data === null && <Waiting lines={6} />}
      {data !== null && <Entries base={base} id={id} path={path} listing={data} />}
    </section>
  );
}

function Entries({
  base,
  id,
  path,
  listing: { entries, next },
}: {
  readonly base: string;
  readonly id: string;
  readonly path: string;
  readonly listing: Listing;
}) {
  const problem = useSignal<ProblemBody | null>(null);
  const busy = useSignal("");
  async function fetchIt(entry: FileEntry): Promise<void> {
    problem.value = null;
    busy.value = entry.path;
    try {
      await download(base, entry);
      announce(`${entry.name} is downloaded.`);
    } catch (error) {
      problem.value = problemIn(error);
    }
    busy.value = "";
  }
  if (entries.length === 0)
    return <Empty title="Nothing is in it.">Drop files here, or upload them with the button above.</Empty>;
  return (
    <>
      {problem.value !== null && <Problem problem={problem.value} />}
      <Table
        scrolls
        heads={["Name", number("Size"), roomy("Mode"), roomy("Owner"), roomy("Changed"), unseen("Download")]}
      >
        {entries.map((entry) => (
          <tr key={encodedPath(entry)}>
            <td class="name">
              <Name entry={entry} id={id} path={path} />
            </td>
            <td class="number">{entry.type === "file" ? sizeOf(entry.size) : ""}</td>
            <td class="roomy">
              <code class="faint">{modeOf(entry)}</code>
            </td>
            <td class="roomy">{entry.owner}</td>
            <td class="roomy">
              <When at={entry.modified_at} />
            </td>
            <td class="number">
              {(isFile(entry) || isDirectory(entry)) && (
                <button
                  type="button"
                  class="ghost tiny"
                  aria-label={`Download ${entry.name}`}
                  title={
                    entry.size > mostDownloaded
                      ? `Too large for a browser: mooring cp ${id}:${entry.path} .`
                      : isDirectory(entry)
                        ? "Download it as .tar.gz"
                        : "Download it"
                  }
                  disabled={busy.value !== "" || entry.size > mostDownloaded}
                  onClick={() => void fetchIt(entry)}
                >
                  <Icon name="down" />
                </button>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {next !== null && (
        <p class="note">
          These are the first {entries.length.toLocaleString("en")}. Go into a directory below to see less at once.
        </p>
      )}
    </>
  );
}

function Name({ entry, id, path }: { readonly entry: FileEntry; readonly id: string; readonly path: string }) {
  const leads = isDirectory(entry)
    ? addressOf(id, encodedPath(entry))
    : isFile(entry)
      ? `${addressOf(id, path)}&file=${encodeURIComponent(encodedPath(entry))}`
      : null;
  const name = (
    <>
      <Icon name={isDirectory(entry) ? "folder" : "file"} /> {entry.name}
    </>
  );
  return (
    <>
      {leads === null ? <span>{name}</span> : <a href={leads}>{name}</a>}
      {entry.link !== undefined && <span class="faint small"> → {entry.link.target}</span>}
      {entry.type !== "file" && entry.type !== "directory" && entry.type !== "symlink" && (
        <span class="faint small"> {entry.type}</span>
      )}
    </>
  );
}

/** The directories above, each as a link. */
function Crumbs({ id, at }: { readonly id: string; readonly at: FileEntry }) {
  const names = at.path.split("/").filter(Boolean);
  // A name that is not UTF-8 is addressed by its bytes.
  const raw = (at.raw_path ?? at.path.split("/").map(encodeURIComponent).join("/")).split("/").filter(Boolean);
  return (
    <nav class="crumbs" aria-label="Directory">
      <a href={addressOf(id, "")} title="The workspace">
        <Icon name="folder" />
        <span class="unseen">The workspace</span>
      </a>
      <a href={addressOf(id, "%2F")}>/</a>
      {names.map((name, index) => (
        <span key={index}>
          <a
            href={addressOf(id, `%2F${raw.slice(0, index + 1).join("%2F")}`)}
            aria-current={index === names.length - 1 ? "location" : undefined}
          >
            {name}
          </a>
          {index < names.length - 1 && <span class="faint">/</span>}
        </span>
      ))}
    </nav>
  );
}

function queryValue(name: string): string {
  return route.value.query.get(name) ?? "";
}

/**
 * The address of a directory. `path` is encoded for a query of the API already, and once more for the address of the
 * page.
 */
function addressOf(id: string, path: string): string {
  return `/console/sessions/${id}?tab=files${path === "" ? "" : `&path=${encodeURIComponent(path)}`}`;
}

/** The mode as `ls -l` shows it. */
function modeOf({ type, mode }: FileEntry): string {
  const kind = { file: "-", directory: "d", symlink: "l", fifo: "p", socket: "s", device: "c" }[type];
  const bits = [8, 7, 6, 5, 4, 3, 2, 1, 0].map((bit) => ((mode >> bit) & 1 ? "rwx"[(8 - bit) % 3] : "-"));
  return `${kind}${bits.join("")}`;
}
