/** Starts a small tree on a leash, prints its group, and stays: the test kills this process, not the tree. */
import { spawnLeashed } from "../../scripts/stack/leash.ts";

const leash = spawnLeashed({
  name: "tree",
  command: ["sh", "-c", "trap '' TERM; sleep 600 & echo ready; while :; do sleep 1; done"],
  env: process.env,
  cwd: process.cwd(),
  logFile: process.argv[2] ?? "/dev/null",
  graceSeconds: 1,
  onLine: () => process.stdout.write(`${leash.group}\n`),
});
await leash.ended;
