/**
 * A paused session costs no sandbox and keeps its files. With `auto_resume` the next job wakes it: the client does not even
 * have to know that it was paused.
 */
import { mooring } from "./connect.ts";

const session = await mooring.create({ auto_resume: true }, { waitSeconds: 30 });
await (await session.run("echo 'kept across the pause' > note.txt")).done();

await session.pause();
console.log((await session.until("paused")).status);

const job = await session.run("cat note.txt");
for await (const { text } of job.output()) process.stdout.write(text);
console.log(`${(await job.done()).state}, in a new sandbox`);

await session.end();
