/**
 * A sandbox can be lost: a machine dies, somebody kills its processes. Mooring never hands out an empty one in its place
 * unasked: the session is `lost`, says so, and `rebuild` begins anew.
 */
import { isProblem } from "../src/client/mooring.ts";
import { mooring } from "./connect.ts";

const session = await mooring.create({ on_loss: "hold" }, { waitSeconds: 30 });
await (await session.run("echo 'only in this sandbox' > note.txt")).done();

// The disaster: the process that runs the jobs is killed.
await session.run("kill -9 $PPID");
console.log((await session.until("lost", { withinMs: 180_000 })).status);

try {
  await session.run("cat note.txt");
} catch (error) {
  if (!isProblem(error, "sandbox_lost")) throw error;
  console.log(`refused: ${error.code}`);
}

await session.rebuild({ confirm: true }, { waitSeconds: 30 });
await session.until("running", { withinMs: 120_000 });
const job = await session.run("cat note.txt 2>/dev/null || echo 'empty, as rebuild said'");
for await (const { text } of job.output()) process.stdout.write(text);

await session.end();
