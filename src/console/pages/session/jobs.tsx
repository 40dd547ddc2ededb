/**
 * Jobs, and the output of one job, which is followed from the byte that was shown last. A tenant also runs and cancels
 * jobs here.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ProblemBody } from "../../../protocol/problem.ts";
import { act, problemIn, read } from "../../data/call.ts";
import { follow } from "../../data/follow.ts";
import { useLive } from "../../data/live.ts";
import { route, setQuery } from "../../data/route.ts";
import type { JobItem, Subject } from "../../data/session.ts";
import { ActDialog } from "../../parts/act.tsx";
import { Chip, Empty, Problem, Reading, When } from "../../parts/bits.tsx";
import { jobTone, plain } from "../../words/states.ts";
import { fineDuration } from "../../words/time.ts";

export function Jobs({ subject }: { readonly subject: Subject }) {
  const path = `${subject.base}/jobs?limit=100`;
  const live = useLive(`jobs ${path}`, (signal) => read<"listJobs">(path, signal), 3_000);
  const { data } = live.state.value;
  const jobs = data?.data.toReversed() ?? [];
  const chosen = route.value.query.get("job") ?? jobs[0]?.id ?? null;
  const job = jobs.find(({ id }) => id === chosen) ?? null;
  return (
    <>
      {subject.own && <Run subject={subject} onRun={live.refresh} />}
      <Reading of={live.state.value} lines={5} />
      {data !== null && jobs.length === 0 && (
        <Empty title="It has run no job yet.">{subject.own ? "Run one above." : "Its tenant runs them."}</Empty>
      )}
      {jobs.length > 0 && (
        <div class="jobs">
          <ul class="card list" aria-label="Jobs">
            {jobs.map((each) => (
              <li key={each.id}>
                <button type="button" aria-pressed={each.id === chosen} onClick={() => setQuery({ job: each.id })}>
                  <code>{each.command ?? each.argv?.join(" ")}</code>
                  <span class="small">
                    <Chip tone={jobTone[each.state] ?? "quiet"}>{plain(each.state)}</Chip> <When at={each.created_at} />
                  </span>
                </button>
              </li>
            ))}
          </ul>
          {chosen !== null && <Output key={chosen} subject={subject} id={chosen} job={job} onChange={live.refresh} />}
        </div>
      )}
    </>
  );
}

function Run({ subject, onRun }: { readonly subject: Subject; readonly onRun: () => void }) {
  const command = useSignal("");
  const problem = useSignal<ProblemBody | null>(null);
  async function run(event: Event): Promise<void> {
    event.preventDefault();
    problem.value = null;
    try {
      const { id } = await act<"createJob">("POST", `${subject.base}/jobs`, { body: { command: command.value } });
      command.value = "";
      setQuery({ job: id });
      onRun();
    } catch (error) {
      problem.value = problemIn(error);
    }
  }
  return (
    <form class="toolbar" onSubmit={(event) => void run(event)}>
      <div class="search prompt">
        <input
          aria-label="Command to run in the session"
          placeholder="make test"
          spellcheck={false}
          value={command.value}
          onInput={(event) => (command.value = event.currentTarget.value)}
        />
      </div>
      <button type="submit" class="primary" disabled={command.value.trim() === ""}>
        Run
      </button>
      {problem.value !== null && <Problem problem={problem.value} />}
    </form>
  );
}

/** More than this would make the page slow. What is left out is named in bytes. */
const shownCharacters = 400_000;

function Output({
  subject,
  id,
  job,
  onChange,
}: {
  readonly subject: Subject;
  readonly id: string;
  readonly job: JobItem | null;
  readonly onChange: () => void;
}) {
  const text = useSignal("");
  const bytes = useSignal(0);
  const state = useSignal("");
  const ending = useSignal(false);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const path = `${subject.base}/jobs/${encodeURIComponent(id)}/output`;
    return follow({
      path,
      from: "",
      onState: (next) => (state.value = next),
      take: (each) => {
        if (each.event === "output") {
          const more = (JSON.parse(each.data) as { text: string }).text;
          const atEnd =
            box.current === null || box.current.scrollHeight - box.current.scrollTop - box.current.clientHeight < 60;
          text.value = (text.value + more).slice(-shownCharacters);
          bytes.value = Number(each.id);
          if (atEnd) requestAnimationFrame(() => box.current?.scrollTo(0, box.current.scrollHeight));
        } else if (each.event === "gap") {
          const { from, to } = JSON.parse(each.data) as { from: number; to: number };
          text.value += `\n… ${to - from} bytes were dropped here …\n`;
        } else if (each.event === "end") {
          onChange();
          return (JSON.parse(each.data) as { reason: string }).reason === "disconnected";
        }
        return true;
      },
    });
  }, [subject.base, id]);
  const ran =
    job?.started_at == null ? null : Date.parse(job.ended_at ?? new Date().toISOString()) - Date.parse(job.started_at);
  const open = job !== null && job.ended_at === null;
  return (
    <section class="card output" aria-label="Output">
      <header>
        <div>
          <h2>
            <code>{job?.command ?? job?.argv?.join(" ") ?? id}</code>
          </h2>
          <span class="small faint">
            {job !== null && <Chip tone={jobTone[job.state] ?? "quiet"}>{plain(job.state)}</Chip>}{" "}
            {job?.exit_code != null && `exit ${job.exit_code}, `}
            {job?.signal != null && `${job.signal}, `}
            {ran !== null && `${fineDuration(ran)}, `}
            {bytes.value.toLocaleString("en")} bytes
            {open && (state.value === "live" ? ", live" : ", waiting for the stream")}
          </span>
        </div>
        {open && subject.own && (
          <button type="button" class="danger" onClick={() => (ending.value = true)}>
            Cancel the job
          </button>
        )}
      </header>
      {job?.failure != null && (
        <p class="note bad">{String((job.failure as { detail?: string }).detail ?? "It could not be started.")}</p>
      )}
      {job?.held_back != null && <p class="note warn">{job.held_back.detail}</p>}
      <pre ref={box} tabIndex={0} aria-label="Output of the job" aria-live="off">
        {text.value === "" ? (open ? "It has written nothing yet." : "It wrote nothing.") : text.value}
      </pre>
      {ending.value && (
        <ActDialog
          order={{
            title: "Cancel the job",
            danger: true,
            button: "Cancel the job",
            reason: null,
            touches: (
              <p>
                <code>{job?.command ?? id}</code> and everything that it started is ended. The session goes on.
              </p>
            ),
            command: `mooring api cancel-job ${subject.id} ${id}`,
            run: async () => {
              await act<"cancelJob">("DELETE", `${subject.base}/jobs/${encodeURIComponent(id)}`);
              return <p>It is being ended.</p>;
            },
          }}
          onClose={() => {
            ending.value = false;
            onChange();
          }}
        />
      )}
    </section>
  );
}
