/** Waits for something to be so in the world: it looks again at each change and at each event that is due. No polling. */
import type { FaultyCallDependencies } from "./faulty-call.ts";

/** The reason of an abort that nobody reads; without one a DOMException is made each time. */
const over = Symbol("over");

/** False when the caller gave up first. */
export async function waitFor(
  { world, clock }: Pick<FaultyCallDependencies, "world" | "clock">,
  holds: () => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    const now = world.advance();
    if (holds()) return true;
    if (signal.aborted) return false;
    const next = world.nextEventAt();
    await new Promise<void>((resolve) => {
      const awake = new AbortController();
      const wake = () => {
        awake.abort(over);
        stopWaiting();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const stopWaiting = world.onChange(wake);
      signal.addEventListener("abort", wake, { once: true });
      if (next !== null) void clock.sleep(Math.max(0, next - now), awake.signal).then(wake);
    });
  }
}
