/** How a guardian and its wrapper ended, for the process that spawned the guardian. */
export const exitCodes = {
  /** Stopped as asked, or fenced itself; nothing of the instance is left. */
  ended: 0,
  /** The boot document or the marker environment is unusable. Nothing was started. */
  badBoot: 64,
  /** It came after `launch_not_after`. Nothing was started. */
  late: 65,
  /** This state directory has, or had, its one instance. Nothing was started. */
  alreadyStarted: 66,
  /** The wrapper ended before it was ready; nothing is left, and the same directory may be launched again. */
  notReady: 67,
  /** A bug. The guardian ends everything of the instance before it exits with it. */
  crashed: 70,
} as const;
