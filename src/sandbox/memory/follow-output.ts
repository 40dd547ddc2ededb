/** A job's output from an offset, followed until the job has ended and everything kept was sent. */
import type { Surroundings } from "./faulty-call.ts";
import type { MemoryInstance } from "./memory-instance.ts";
import type { MemoryJob } from "./memory-job.ts";
import { waitFor } from "./wait-for.ts";

/** A slow reader gets the next piece when it asks; nothing is buffered for it beyond what the job itself keeps. */
const pieceBytes = 65_536;

export function followOutput(
  at: Pick<Surroundings, "world" | "clock">,
  instance: MemoryInstance,
  job: MemoryJob,
  offset: number,
): ReadableStream<Uint8Array> {
  const cancelled = new AbortController();
  let sent = offset;
  const mayGoOn = () => job.output.kept > sent || job.ended || instance.processes().length === 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!(await waitFor(at, mayGoOn, cancelled.signal))) return;
        if (job.output.kept > sent) {
          const piece = job.output.from(sent).subarray(0, pieceBytes);
          sent += piece.length;
          controller.enqueue(piece);
        } else if (instance.listens) controller.close();
        // The connection to a wrapper that is gone breaks; it does not end.
        else controller.error(new Error("the connection to the wrapper was cut"));
      },
      cancel: () => cancelled.abort(),
    },
    { highWaterMark: 0 },
  );
}
