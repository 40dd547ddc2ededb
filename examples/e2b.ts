/**
 * A program written for E2B, run against Mooring. Nothing in it is Mooring's: the SDK reads where to go from the environment.
 *
 *   npm run dev
 *   E2B_API_URL=http://127.0.0.1:8787 E2B_SANDBOX_URL=http://127.0.0.1:8787 E2B_API_KEY=mrg_dev_… npx node examples/e2b.ts
 */
import { Sandbox, SandboxNotFoundError } from "e2b";

const sandbox = await Sandbox.create({ timeoutMs: 120_000, metadata: { user: "ada", "run id": "7/b" } });
const { sandboxId } = sandbox;
console.log(`created ${sandboxId}, running: ${await sandbox.isRunning()}`);

try {
  // Found again by what it was labelled with.
  const found = await Sandbox.list({ query: { metadata: { "run id": "7/b" }, state: ["running"] } }).nextItems();
  console.log(`listed: ${found.some((each) => each.sandboxId === sandboxId)}`);

  await sandbox.setTimeout(600_000);
  const { endAt } = await sandbox.getInfo();
  console.log(`ends in ${Math.round((endAt.getTime() - Date.now()) / 60_000)} minutes`);

  // Its files are saved and its place is given back; a connect goes on from there.
  await sandbox.pause();
  console.log(`paused, running: ${await sandbox.isRunning()}`);
  await Sandbox.connect(sandboxId, { timeoutMs: 120_000 });
  console.log(`connected, running: ${await sandbox.isRunning()}`);
} finally {
  console.log(`killed: ${await sandbox.kill()}, once more: ${await sandbox.kill()}`);
}

await Sandbox.getInfo(sandboxId).catch((error: unknown) => {
  if (!(error instanceof SandboxNotFoundError)) throw error;
  console.log("gone");
});
