/** Ctrl-C and SIGTERM as a promise. A second one changes nothing: the way out is already the short one, and bounded. */

export interface StopRequest {
  readonly signal: AbortSignal;
  readonly asked: Promise<void>;
}

export function onceAskedToStop(): StopRequest {
  const controller = new AbortController();
  const asked = new Promise<void>((resolve) => {
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
