/** Does nothing until it is asked to stop, as a stack's command does. For the tests of what asks it. */
import { onceAskedToStop } from "../../scripts/stack/signals.ts";

const stop = onceAskedToStop();
const waiting = setInterval(() => {}, 60_000);
console.log(`ready ${process.pid}`); // oxlint-disable-line no-console
await stop.asked;
clearInterval(waiting);
process.exit(0);
