/**
 * A terminal in the sandbox. Its program goes on when the page is left: the address names it, and coming back shows
 * what it wrote.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ProblemBody } from "../../../../protocol/problem.ts";
import { act, problemIn, read } from "../../../data/call.ts";
import { useLive } from "../../../data/live.ts";
import { route, setQuery } from "../../../data/route.ts";
import type { Subject } from "../../../data/session.ts";
import { type Connection, openTerminal, type TerminalEnd } from "../../../data/terminal.ts";
import { ActDialog } from "../../../parts/act.tsx";
import { Chip, Problem } from "../../../parts/bits.tsx";
import type { Tone } from "../../../words/states.ts";
import { OnlyOwn } from "./only-own.tsx";

export function Terminal({ subject }: { readonly subject: Subject }) {
  return (
    <OnlyOwn subject={subject} what="Terminals">
      <Terminals subject={subject} />
    </OnlyOwn>
  );
}

const fresh = "new";

function Terminals({ subject: { base } }: { readonly subject: Subject }) {
  const named = route.value.query.get("pid") ?? "";
  const live = useLive(`terminals ${base}`, (signal) => read<"listProcesses">(`${base}/processes`, signal), null);
  const { data, problem, loading } = live.state.value;
  /** The key stays the same when the pid becomes known, so that the terminal is not drawn anew. */
  const shown = useSignal<{ readonly key: number; readonly pid: number | null } | null>(null);
  const ending = useSignal<number | null>(null);
  const terminals = data?.data.filter(({ terminal }) => terminal !== null) ?? [];
  const open = (pid: number | null) => {
    shown.value = { key: (shown.peek()?.key ?? 0) + 1, pid };
    setQuery({ pid: pid === null ? fresh : String(pid) });
  };
  useEffect(() => {
    if (/^\d+$/.test(named) && shown.peek()?.pid !== Number(named)) open(Number(named));
  }, [named]);
  const at = shown.value;
  return (
    <>
      <div class="toolbar">
        <button type="button" class={at === null ? "primary" : ""} onClick={() => open(null)}>
          Open a terminal
        </button>
        {terminals
          .filter(({ pid }) => pid !== at?.pid)
          .map(({ pid, argv }) => (
            <button key={pid} type="button" onClick={() => open(pid)} title={argv.join(" ")}>
              Back to pid {pid}
            </button>
          ))}
        <span class="grow" />
        {at?.pid != null && (
          <button type="button" class="danger" onClick={() => (ending.value = at.pid)}>
            End it …
          </button>
        )}
      </div>
      {problem !== null && <Problem problem={problem} />}
      {at === null && !loading && (
        <p class="faint">
          A shell as the user of the session's jobs. It goes on when you leave the page, holds the idle clock while
          somebody looks, and ends with the sandbox.
        </p>
      )}
      {at !== null && (
        <Screen
          key={at.key}
          base={base}
          pid={at.pid}
          onReady={(pid) => {
            if (shown.peek()?.key !== at.key || at.pid === pid) return;
            shown.value = { ...at, pid };
            setQuery({ pid: String(pid) });
          }}
          onEnded={live.refresh}
        />
      )}
      {ending.value !== null && (
        <ActDialog
          order={{
            title: "End the terminal",
            danger: true,
            button: "End it",
            reason: null,
            touches: <p>Process {ending.value} and everything that was started in it is ended. The session goes on.</p>,
            command: `mooring api end-process ${base.split("/").at(-1)} ${ending.value}`,
            run: async () => {
              await act<"endProcess">("DELETE", `${base}/processes/${ending.peek()}`);
              return <p>It has ended, with all that it started.</p>;
            },
          }}
          onClose={() => (ending.value = null)}
        />
      )}
    </>
  );
}

const words: Readonly<Record<Connection, readonly [Tone, string]>> = {
  connecting: ["busy", "connecting"],
  open: ["good", "connected"],
  hidden: ["quiet", "waits for you"],
  paused: ["quiet", "the session is not running"],
  broken: ["warn", "the connection broke"],
  ended: ["quiet", "ended"],
};

function Screen({
  base,
  pid,
  onReady,
  onEnded,
}: {
  readonly base: string;
  readonly pid: number | null;
  readonly onReady: (pid: number) => void;
  readonly onEnded: () => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const state = useSignal<Connection>("connecting");
  const end = useSignal<TerminalEnd | null>(null);
  const problem = useSignal<ProblemBody | null>(null);
  useEffect(() => {
    let close = () => {};
    let left = false;
    void (async () => {
      // Loaded only here: the library is larger than the rest of the console.
      const { openScreen } = await import("../../../terminal/screen.ts");
      if (left || box.current === null) return;
      const screen = openScreen({
        box: box.current,
        onTyped: (bytes) => line.type(bytes),
        onSize: (cols, rows) => line.resize(cols, rows),
      });
      const line = openTerminal({
        base,
        pid,
        size: screen.size,
        onBytes: screen.show,
        onGap: (bytes) => screen.note(`… ${bytes} bytes were dropped here while nobody looked …`),
        onReady: (known) => {
          onReady(known);
          screen.focus();
        },
        onState: (next, how) => {
          state.value = next;
          end.value = how;
          if (next === "ended") onEnded();
        },
      });
      close = () => {
        line.close();
        screen.close();
      };
    })().catch((error: unknown) => (problem.value = problemIn(error)));
    return () => {
      left = true;
      close();
    };
  }, [base]);
  const [tone, said] = words[state.value];
  return (
    <section class="card terminal" aria-label="Terminal">
      <header>
        <Chip tone={tone}>{said}</Chip>
        <span class="small faint">
          {end.value !== null && (end.value.signal === null ? `exit ${end.value.exit_code}` : `by ${end.value.signal}`)}
          {state.value === "broken" && "It is tried again; what ran in it goes on."}
          {state.value === "open" && (
            <>
              every key goes to it, <kbd>Ctrl</kbd> <kbd>F6</kbd> leaves it
            </>
          )}
        </span>
      </header>
      {problem.value !== null && <Problem problem={problem.value} />}
      <div class="screen">
        <div ref={box} />
      </div>
    </section>
  );
}
