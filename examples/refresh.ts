/** A session that is still needed is kept: `refresh` only ever extends, `setTimeout` sets the end anew, earlier or later. */
import { mooring } from "./connect.ts";

const session = await mooring.create({ timeout_seconds: 600 }, { waitSeconds: 30 });
const { end_at } = await session.read();

const kept = await session.refresh(30);
console.log(`refresh 30: ${kept.end_at === end_at ? "unchanged, it was later already" : kept.end_at}`);

const extended = await session.refresh(36_000);
const laterMs = Date.parse(extended.end_at) - Date.parse(end_at);
console.log(`refresh 36000: later by ${Math.round(laterMs / 3_600_000)} h`);

const sooner = await session.setTimeout(45);
console.log(`timeout 45: ${sooner.end_at < end_at ? "sooner than at first" : "later"}`);

await session.end();
