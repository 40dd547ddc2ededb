/** A job's output from an offset, followed until the job has ended and everything was sent, or until bytes that were dropped. */
import type { JobOutput } from "../../src/sandbox/agent-sandbox.ts";
import type { FaultyCallDependencies } from "./faulty-call.ts";
import type { MemoryInstance } from "./memory-instance.ts";
import type { MemoryJob } from "./memory-job.ts";
import { waitFor } from "./wait-for.ts";

/** A slow reader gets the next piece when it asks; nothing is buffered for it beyond what the job itself keeps. */
const pieceBytes = 65_536;

export function followOutput(
  at: Pick<FaultyCallDependencies, "world" | "clock">,
  instance: MemoryInstance,
  job: MemoryJob,
  offset: number,
): JobOutput {
  const cancelled = new AbortController();
  const from = job.output.startOf(offset);
  let sent = from;
  const isDropped = () => job.output.startOf(sent) !== sent;
  const mayGoOn = () => job.output.written > sent || job.ended || instance.processes().length === 0;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!(await waitFor(at, mayGoOn, cancelled.signal))) return;
        if (isDropped()) controller.close();
        else if (job.output.written > sent) {
          const piece = job.output.from(sent, pieceBytes);
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
  return { from, body };
}
