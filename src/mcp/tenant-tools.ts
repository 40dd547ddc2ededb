/** The tools of an API key: sessions, commands, clocks, and the end with its receipt. */
import type { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type Job, type JobView, type Mooring, WaitTimeoutError } from "../client/mooring.ts";
import { jobIdText, sessionIdText } from "../protocol/primitives.ts";
import { createJob } from "../protocol/resources/session/jobs.ts";
import { createSession, refreshBody } from "../protocol/resources/session/sessions.ts";
import { sessionListQuery } from "../protocol/contracts/session/session-contracts.ts";
import { answered, changes, destroys, reads } from "./tool.ts";

const session_id = sessionIdText.describe("The session's id, as create_session or list_sessions gave it.");
const job_id = jobIdText.describe("The job's id, as run_command gave it.");
const waitSeconds = (usual: number, most: number) =>
  z
    .int()
    .min(0)
    .max(most)
    .default(usual)
    .describe(`How long to wait for the end, seconds. After that the answer says how far it is.`);

/** Clients give up on a tool after a minute, most of them. */
const endWithinMs = 50_000;

export function tenantTools(server: McpServer, mooring: Mooring): void {
  const { isolation: _, critical: __, ...order } = createSession.shape;
  server.registerTool(
    "create_session",
    {
      title: "Create a sandbox session",
      description:
        "Starts a sandbox of its own and answers when it runs. COSTS MONEY for every second from now until it has ended: call end_session when done. It ends by itself at `timeout_seconds`, or after `idle_timeout_seconds` without work.",
      inputSchema: z.strictObject(order),
      annotations: changes,
    },
    (body) => answered(() => mooring.createView(body, { waitSeconds: 45 })),
  );

  server.registerTool(
    "list_sessions",
    {
      title: "List sessions",
      description: "Your sessions, newest first. Free. Sessions that are not `terminated` or `failed` may cost money.",
      inputSchema: z.strictObject({
        status: sessionListQuery.shape.status,
        template: sessionListQuery.shape.template,
        blocked: sessionListQuery.shape.blocked,
        limit: z.int().min(1).max(100).default(20),
      }),
      annotations: reads,
    },
    (query) => answered(() => mooring.page(query)),
  );

  server.registerTool(
    "run_command",
    {
      title: "Run a command",
      description:
        "Runs a command in a session and answers with its exit code and the end of its output. What the command changes in the sandbox cannot be undone. A command that runs longer than `wait_seconds` goes on: follow it with read_job. A paused session is resumed by it when it was made with `auto_resume`, which costs money again.",
      inputSchema: z.strictObject({
        session_id,
        command: createJob.shape.command.unwrap().describe("A shell command, run by `sh -c`."),
        cwd: createJob.shape.cwd,
        env: createJob.shape.env,
        stdin: createJob.shape.stdin,
        timeout_seconds: createJob.shape.timeout_seconds.describe("End the command after this time."),
        wait_seconds: waitSeconds(45, 55),
      }),
      annotations: { ...changes, destructiveHint: true, openWorldHint: true },
    },
    ({ session_id: id, wait_seconds: wait, ...given }) =>
      answered(async () => {
        const job = await mooring.session(id).run(given);
        return await jobResult(job, wait);
      }),
  );

  server.registerTool(
    "read_job",
    {
      title: "Read a command that runs or ran",
      description: "How far a command is, and the end of its output. Free; changes nothing.",
      inputSchema: z.strictObject({ session_id, job_id, wait_seconds: waitSeconds(0, 55) }),
      annotations: reads,
    },
    ({ session_id: id, job_id: job, wait_seconds: wait }) =>
      answered(() => jobResult(mooring.session(id).job(job), wait)),
  );

  server.registerTool(
    "cancel_job",
    {
      title: "Cancel a command",
      description:
        "Ends a command and everything that it started. Cannot be undone. The session goes on, and costs on.",
      inputSchema: z.strictObject({ session_id, job_id }),
      annotations: { ...destroys, idempotentHint: true },
    },
    ({ session_id: id, job_id: job }) => answered(() => mooring.session(id).job(job).cancel()),
  );

  server.registerTool(
    "explain_session",
    {
      title: "Why a session is as it is",
      description:
        "Why it is as it is, which clock ends it next, what blocks it, and the next call to make. Free; wakes nothing.",
      inputSchema: z.strictObject({ session_id }),
      annotations: reads,
    },
    ({ session_id: id }) => answered(() => mooring.session(id).explain()),
  );

  server.registerTool(
    "extend_session",
    {
      title: "Give a session more time",
      description:
        "Its end becomes at least so many seconds from now; never shortens. It COSTS MONEY for as long as it then runs.",
      inputSchema: z.strictObject({ session_id, seconds: refreshBody.shape.duration_seconds }),
      annotations: { ...changes, idempotentHint: true },
    },
    ({ session_id: id, seconds }) => answered(() => mooring.session(id).refresh(seconds)),
  );

  server.registerTool(
    "pause_session",
    {
      title: "Pause a session",
      description:
        "Saves its files and gives the sandbox back, so that it costs no running time. Commands that run end with it; what they had in memory is lost. resume_session goes on.",
      inputSchema: z.strictObject({ session_id }),
      annotations: changes,
    },
    ({ session_id: id }) => answered(() => mooring.session(id).pause()),
  );

  server.registerTool(
    "resume_session",
    {
      title: "Resume a paused session",
      description: "Starts a sandbox with the saved files. COSTS MONEY from now on.",
      inputSchema: z.strictObject({ session_id }),
      annotations: changes,
    },
    ({ session_id: id }) => answered(() => mooring.session(id).resume({}, { waitSeconds: 45 })),
  );

  server.registerTool(
    "end_session",
    {
      title: "End a session and prove it gone",
      description:
        "Ends the session and waits for the receipt, which proves that nothing of it is left. CANNOT BE UNDONE: all its files and processes are gone. Stops the cost. Safe to repeat.",
      inputSchema: z.strictObject({ session_id }),
      annotations: { ...destroys, idempotentHint: true },
    },
    ({ session_id: id }) =>
      answered(async () => {
        const session = mooring.session(id);
        try {
          return { receipt: await session.end({ withinMs: endWithinMs }) };
        } catch (error) {
          if (!(error instanceof WaitTimeoutError)) throw error;
          const teardown = await session.read().then((view) => view.teardown);
          return {
            receipt: null,
            says: "Its end is stored and goes on by itself; it is not proven yet. Call end_session again for the receipt.",
            teardown,
          };
        }
      }),
  );
}

async function jobResult(job: Job, waitSeconds: number): Promise<unknown> {
  const view = await job.read({ waitSeconds });
  return view.ended_at === null ? await soFar(job, view) : view;
}

/** How long the output of a job that runs is listened to, ms, and how much of its end is told. */
const listenMs = 1_000;
const tailCharacters = 8_192;

/** A job that runs has no tail in its view, and its length comes with the renewals: what is there is read as it streams. */
async function soFar(job: Job, view: JobView): Promise<unknown> {
  const signal = AbortSignal.timeout(listenMs);
  let text = "";
  try {
    for await (const chunk of job.output({ offset: Math.max(0, view.output_bytes - tailCharacters), signal }))
      text = (text + chunk.text).slice(-tailCharacters);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return {
    ...view,
    output_tail: text,
    says: "It still runs. Call read_job to look again, or cancel_job to end it.",
  };
}
