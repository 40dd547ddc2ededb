/** Ctrl-C, SIGTERM and the end of the parent as a promise. A second one changes nothing: the way out is already the short one, and bounded. */

export interface StopRequest {
  readonly signal: AbortSignal;
  readonly asked: Promise<void>;
}

/**
 * A supervisor that is killed, or an `npm` that is ended by its process id, passes no signal on. Without this a stack would go on
 * under PID 1, where nobody looks for it.
 */
export function onceParentIsGone(then: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    then();
  }, 500);
  watch.unref();
}

export function onceAskedToStop(): StopRequest {
  const controller = new AbortController();
  const asked = new Promise<void>((resolve) => {
    onceParentIsGone(() => {
      controller.abort();
      resolve();
    });
    // SIGHUP: the terminal was closed.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        controller.abort();
        resolve();
      });
    }
  });
  return { signal: controller.signal, asked };
}
