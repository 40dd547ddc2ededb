/** A session ends by itself when its time is up, whatever still runs in it, and says why. */
import { mooring } from "./connect.ts";

const session = await mooring.create({ timeout_seconds: 3, on_timeout: "kill" }, { waitSeconds: 30 });
await session.run("while :; do sleep 1; done");
console.log(`ends at ${(await session.read()).end_at}`);

const ended = await session.until("terminated", { withinMs: 120_000 });
console.log(`${ended.status}: ${ended.terminate_reason}`);
console.log((await session.teardown()).evidence);
