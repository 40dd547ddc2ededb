/**
 * The smallest useful client: open a session, run a command, follow its output, end the session, show the receipt.
 * No library: this is all there is to the protocol. Needs Node 24 (`npm run` and `npx` here bring it) and a Mooring:
 *
 *   npm run dev
 *   MOORING_KEY=mrg_dev_… npx node examples/run-a-job.ts "uname -a"
 *
 * Exits with the exit code of the command.
 */
const url = process.env["MOORING_URL"] ?? "http://127.0.0.1:8787";
const key = process.env["MOORING_KEY"];
if (key === undefined) throw new Error("Set MOORING_KEY: `npm run dev` prints one.");
const command = process.argv[2] ?? "echo hello from $(hostname)";

async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const reply = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
  return reply;
}
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

// A repeated create with the same Idempotency-Key returns the same session and starts nothing twice.
const idempotencyKey = { "idempotency-key": crypto.randomUUID(), prefer: "wait=30" };
const limits = { timeout_seconds: 600, idle_timeout_seconds: 60, labels: { example: "run-a-job" } };
const session = (await (await call("POST", "/v1/sessions", limits, idempotencyKey)).json()) as {
  id: string;
  status: string;
};
console.error(`session ${session.id} is ${session.status}`);

try {
  const job = (await (await call("POST", `/v1/sessions/${session.id}/jobs`, { command })).json()) as { id: string };
  const jobPath = `/v1/sessions/${session.id}/jobs/${job.id}`;

  // The bare bytes. A stream that breaks off is resumed with ?offset=<bytes seen>: nothing is lost or repeated.
  let seen = 0;
  let end: { state: string; exit_code: number | null; ended_at: string | null };
  do {
    const output = await call("GET", `${jobPath}/output?offset=${seen}`, undefined, {
      accept: "application/octet-stream",
    });
    for await (const bytes of output.body ?? []) {
      seen += bytes.length;
      process.stdout.write(bytes);
    }
    end = (await (await call("GET", jobPath, undefined, { prefer: "wait=10" })).json()) as typeof end;
  } while (end.ended_at === null);
  console.error(`job ${end.state}, exit code ${end.exit_code}`);
  process.exitCode = end.exit_code ?? 1;
} finally {
  await call("DELETE", `/v1/sessions/${session.id}`);
  let receipt: { phase: string; evidence: string | null };
  do {
    await sleep(200);
    receipt = (await (await call("GET", `/v1/sessions/${session.id}/teardown`)).json()) as typeof receipt;
  } while (receipt.phase !== "closed");
  console.error(receipt.evidence);
}
