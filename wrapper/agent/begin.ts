/** How each program of the agent begins, whatever its role. */
import { closeInheritedDescriptors } from "../proc/inherited-descriptors.ts";
import { exitCodes } from "./exit-codes.ts";

export function begin(run: () => void | Promise<void>): void {
  closeInheritedDescriptors();
  // The terminal that started a guardian may go away; the lease decides, not the terminal.
  process.on("SIGHUP", () => {});
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
  new Promise<void>((resolve) => resolve(run())).catch((error: unknown) => {
    process.stderr.write(
      `mooring wrapper: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(exitCodes.crashed);
  });
}
