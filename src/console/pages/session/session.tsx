/** The page of one session: what it does and why, its clocks, its life to scale, and the tabs. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useLive } from "../../data/live.ts";
import { readSubject, type Subject } from "../../data/session.ts";
import { follow } from "../../data/follow.ts";
import { route } from "../../data/route.ts";
import { Empty, Id, Problem, Status, Waiting } from "../../parts/bits.tsx";
import { Page } from "../../parts/shell.tsx";
import { statusWords } from "../../words/states.ts";
import { Acts } from "./acts.tsx";
import { Events } from "./events.tsx";
import { Files } from "./inside/files.tsx";
import { Ports } from "./inside/ports.tsx";
import { Terminal } from "./inside/terminal.tsx";
import { Jobs } from "./jobs.tsx";
import { Logs } from "./logs.tsx";
import { Overview } from "./overview.tsx";
import { Receipts } from "./receipt.tsx";
import { Resources } from "./resources.tsx";

const tabs = [
  ["", "Overview"],
  ["jobs", "Jobs"],
  ["terminal", "Terminal"],
  ["files", "Files"],
  ["ports", "Ports"],
  ["events", "Events"],
  ["logs", "Logs"],
  ["resources", "Resources"],
  ["receipt", "Receipt"],
] as const;

/** How often the page reads when no event arrives: a stream that died in silence must not leave the page outdated. */
const quietMs = 10_000;

export function Session({ id }: { readonly id: string }) {
  const live = useLive(`session ${id}`, (signal) => readSubject(id, signal), quietMs);
  const { data, problem, at, loading } = live.state.value;
  useNews(data, live.refresh);
  const tab = route.value.query.get("tab") ?? "";
  const status = data?.session?.status ?? null;
  const list = useRef<HTMLDivElement>(null);
  const isShown = data !== null;
  useEffect(() => {
    // A phone shows only some of the tabs. Scroll to the chosen one.
    const chosen = list.current?.querySelector<HTMLElement>('[aria-selected="true"]');
    if (chosen != null && list.current !== null)
      list.current.scrollLeft = chosen.offsetLeft - list.current.offsetLeft - 60;
  }, [tab, isShown]);
  return (
    <Page
      title={
        <>
          <span class="faint small">Session</span> <Id of={id} />
        </>
      }
      lead={
        status === null ? undefined : (
          <>
            <Status status={status} /> {statusWords[status]}
          </>
        )
      }
      command={commandOf(id, tab)}
      actions={data === null ? undefined : <Acts subject={data} onDone={live.refresh} />}
    >
      {problem !== null && <Problem problem={problem} stale={data === null ? null : at} />}
      {problem?.code === "not_found" && data === null && (
        <Empty title="There is no such session for you.">
          It never was, its retention has ended, or it is another tenant's. Look at{" "}
          <a href="/console/sessions">the list</a>.
        </Empty>
      )}
      {loading && data === null && <Waiting lines={10} />}
      {data !== null && (
        <>
          <div ref={list} class="tabs" role="tablist" aria-label="Parts of the session">
            {tabs.map(([name, words]) => (
              <a
                key={name}
                role="tab"
                aria-selected={tab === name}
                href={`/console/sessions/${id}${name === "" ? "" : `?tab=${name}`}`}
              >
                {words}
              </a>
            ))}
          </div>
          <Tab tab={tab} subject={data} refresh={live.refresh} />
        </>
      )}
    </Page>
  );
}

function Tab({
  tab,
  subject,
  refresh,
}: {
  readonly tab: string;
  readonly subject: Subject;
  readonly refresh: () => void;
}) {
  switch (tab) {
    case "jobs":
      return <Jobs subject={subject} />;
    case "terminal":
      return <Terminal subject={subject} />;
    case "files":
      return <Files subject={subject} />;
    case "ports":
      return <Ports subject={subject} />;
    case "events":
      return <Events subject={subject} />;
    case "logs":
      return <Logs subject={subject} />;
    case "resources":
      return <Resources subject={subject} />;
    case "receipt":
      return <Receipts subject={subject} />;
    default:
      return <Overview subject={subject} refresh={refresh} />;
  }
}

/** Follows the session's events. After an event the page reads again, at most once a second. */
function useNews(subject: Subject | null, refresh: () => void): void {
  const base = subject?.base ?? null;
  // No event follows the end of a session.
  const over = useMemo(
    () => ["terminated", "failed"].includes(subject?.session?.status ?? ""),
    [subject?.session?.status],
  );
  useEffect(() => {
    if (base === null || over) return undefined;
    let first = true;
    let pending: ReturnType<typeof setTimeout> | undefined;
    const end = follow({
      path: `${base}/events`,
      from: "",
      take: ({ event, data }) => {
        if (event === "end") return (JSON.parse(data) as { reason: string }).reason === "disconnected";
        // The events so far arrive all at once. One read covers them.
        clearTimeout(pending);
        pending = setTimeout(() => {
          if (!first) refresh();
          first = false;
        }, 250);
        return true;
      },
    });
    return () => {
      clearTimeout(pending);
      end();
    };
  }, [base, over]);
}

function commandOf(id: string, tab: string): string {
  if (tab === "jobs") return `mooring logs -f ${id}`;
  if (tab === "terminal") return `mooring attach ${id}`;
  if (tab === "files") return `mooring cp -r ${id}:. .`;
  if (tab === "ports") return `mooring ports list ${id}`;
  if (tab === "events") return `mooring logs -f --events ${id}`;
  if (tab === "logs") return `mooring logs ${id}`;
  if (tab === "resources") return `mooring top ${id}`;
  if (tab === "receipt") return `mooring api get-session-receipts ${id} | mooring verify --gaps -`;
  return `mooring why ${id}`;
}
