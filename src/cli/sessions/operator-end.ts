/** Waits, as an operator, for the proof that a session ended. The client's `until` needs the session's tenant. */
import { type MooringAdmin, type Teardown, WaitTimeoutError } from "../../client/mooring.ts";

const withinMs = 120_000;
const lookMs = 1_000;

export async function untilProven(admin: MooringAdmin, id: string, signal: AbortSignal): Promise<Teardown | null> {
  const until = Date.now() + withinMs;
  for (;;) {
    const { session } = (await admin.inspect(id, { signal })).inspection;
    if (session === null || session.status === "terminated" || session.status === "failed")
      return session?.teardown ?? null;
    if (Date.now() > until)
      throw new WaitTimeoutError(
        `Session ${id} is still ${session.status} after ${withinMs / 1_000} s. Its end is stored and goes on: \`mooring why ${id}\` tells what it waits for.`,
        "until proven",
      );
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    signal.throwIfAborted();
  }
}
