/** The sandbox's own log, with hints on what it probably means. */
import { read } from "../../data/call.ts";
import { useLive } from "../../data/live.ts";
import type { Subject } from "../../data/session.ts";
import { Empty, Reading, When } from "../../parts/bits.tsx";
import { Hints } from "./hints.tsx";

export function Logs({ subject }: { readonly subject: Subject }) {
  const path = `${subject.base}/logs?tail_bytes=32768`;
  const live = useLive(path, (signal) => read<"getLogs">(path, signal), 5_000);
  const { data } = live.state.value;
  return (
    <>
      <Reading of={live.state.value} />
      {data !== null && (
        <>
          <Hints hints={data.diagnosis} />
          <section class="card output" aria-label="Log of the sandbox">
            <header>
              <h2>Log of the sandbox</h2>
              {data.sandbox !== null && (
                <span class="small faint">
                  written <When at={data.sandbox.last_written_at} />
                </span>
              )}
            </header>
            {data.sandbox === null ? (
              <Empty title="There is no log to read.">{data.unavailable ?? "It holds no sandbox now."}</Empty>
            ) : (
              <pre tabIndex={0}>{data.sandbox.text === "" ? "It has written nothing." : data.sandbox.text}</pre>
            )}
          </section>
          {data.jobs.map((job) => (
            <section key={job.id} class="card output" aria-label={`Last words of job ${job.id}`}>
              <header>
                <h3>
                  <a href={`/console/sessions/${subject.id}?tab=jobs&job=${job.id}`}>{job.id}</a>
                </h3>
                <span class="small faint">{job.state}</span>
              </header>
              <pre tabIndex={0}>{job.tail ?? "Its output is lost, or did not come in time."}</pre>
            </section>
          ))}
        </>
      )}
    </>
  );
}
