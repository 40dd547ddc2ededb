/** What the sandbox uses, as figures and as lines over time. */
import { read } from "../../data/call.ts";
import { useLive } from "../../data/live.ts";
import type { Subject } from "../../data/session.ts";
import { Reading } from "../../parts/bits.tsx";
import { Spark } from "../../parts/spark.tsx";
import { duration } from "../../words/time.ts";
import { Hints } from "./hints.tsx";

export function Resources({ subject }: { readonly subject: Subject }) {
  const path = `${subject.base}/resources`;
  const live = useLive(path, (signal) => read<"getResources">(path, signal), 5_000);
  const { data } = live.state.value;
  return (
    <>
      <Reading of={live.state.value} />
      {data !== null && (
        <>
          <Hints hints={data.diagnosis} />
          <div class="sparks">
            <Spark
              label="CPU"
              unit="%"
              note="100 is one core"
              points={data.history.map((each) => each.cpu_percent)}
              value={data.cpu_percent}
            />
            <Spark
              label="Memory"
              unit="MB"
              points={data.history.map((each) => each.memory_mb)}
              value={data.memory_mb}
            />
            <Spark label="Disk" unit="MB" points={data.history.map((each) => each.disk_mb)} value={data.disk_mb} />
            <Spark
              label="Processes"
              unit=""
              points={data.history.map((each) => each.processes)}
              value={data.processes}
            />
          </div>
          <p class="small faint">
            {data.history.length} samples: one is taken whenever somebody asks. The sandbox is{" "}
            {duration(data.duration_ms)} old.
          </p>
        </>
      )}
    </>
  );
}
