/** A session ends by itself when its time is up, whatever still runs in it, and says why. */
import { mooring } from "./connect.ts";

const session = await mooring.create({ on_timeout: "kill" }, { waitSeconds: 30 });
await session.run("while :; do sleep 1; done");
await session.until("running");
// An order with `timeout_seconds` would count from the creation.
const { end_at } = await session.setTimeout(3);
console.log(`ends at ${end_at}`);

const ended = await session.until("terminated", { withinMs: 120_000 });
console.log(`${ended.status}: ${ended.terminate_reason}`);
console.log((await session.teardown()).evidence);
