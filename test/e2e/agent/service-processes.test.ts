/** Processes in a sandbox, through a real wrapper and its service process. */
import { realpathSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StartProcess } from "../../../src/protocol/resources/sandbox/processes.ts";
import { call, json, open } from "../../support/service-calls.ts";
import { eventsOf, outcomeOf, type Outcome } from "../../support/service-events.ts";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  isRunning,
  processesRunning,
  removeDirectories,
  startInstance,
  type Instance,
} from "../../support/wrapper-instance.ts";

let instance: Instance;
/** Of this run of the file alone: it is looked for on the whole machine. */
const nap = (seconds: number): string => `sleep ${seconds}.${process.pid}`;

beforeAll(async () => {
  instance = await startInstance({ lease_ttl_ms: 600_000, env: { FROM_SESSION: "session" } });
  await instance.renew();
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

const post = (path: string, body: unknown) => call(instance, "POST", path, { body: JSON.stringify(body) });
async function run(order: StartProcess): Promise<Outcome> {
  const answer = await open(instance, "POST", "/processes?output=true", { body: JSON.stringify(order) });
  expect(answer.statusCode).toBe(201);
  return outcomeOf(eventsOf(answer));
}
async function started(order: StartProcess): Promise<number> {
  const reply = await post("/processes", order);
  expect(reply.status).toBe(201);
  return (json(reply) as { pid: number }).pid;
}
const view = async (pid: number) => json(await call(instance, "GET", `/processes/${pid}`)) as Record<string, unknown>;

describe("a process", () => {
  it("keeps its two streams apart, and says how it ended", async () => {
    const { stdout, stderr, exit } = await run({ command: "echo out; echo err >&2; exit 3" });
    expect([stdout.toString(), stderr.toString()]).toEqual(["out\n", "err\n"]);
    expect(exit).toEqual({ exit_code: 3, signal: null, timed_out: false });
  });

  it("may open its own descriptors by name", async () => {
    const { stdout, stderr, exit } = await run({ command: "echo out > /dev/stdout; echo err > /dev/stderr" });
    expect([stdout.toString(), stderr.toString(), exit?.["exit_code"]]).toEqual(["out\n", "err\n", 0]);
  });

  it("has its environment, its directory and its arguments exactly", async () => {
    const env = { OWN: "a b\n'\"$", FROM_SESSION: "order" };
    const shown = 'printf "%s|" "$OWN" "$FROM_SESSION" "$PWD" "$@"';
    const { stdout } = await run({ argv: ["sh", "-c", shown, "sh", "", "two words", "*"], env, cwd: "/usr" });
    expect(stdout.toString()).toBe("a b\n'\"$|order|/usr||two words|*|");
    const own = await run({ command: 'printf "%s %s" "$FROM_SESSION" "$(pwd -P)"' });
    expect(own.stdout.toString()).toBe(`session ${realpathSync(instance.boot.workspace_dir)}`);
  });

  it("gives bytes that are no text back as they were", async () => {
    const { stdout } = await run({ command: "printf '\\377\\000\\200ok'" });
    expect(stdout).toEqual(Buffer.from([0xff, 0, 0x80, 0x6f, 0x6b]));
  });

  it("reads what is written to it, until that ends", async () => {
    const pid = await started({ command: "cat; echo done", stdin: true });
    await call(instance, "POST", `/processes/${pid}/stdin`, { body: "hello " });
    await call(instance, "POST", `/processes/${pid}/stdin?end=true`, { body: "there\n" });
    const { stdout, exit } = await outcomeOf(eventsOf(await open(instance, "GET", `/processes/${pid}/output`)));
    expect([stdout.toString(), exit?.["exit_code"]]).toEqual(["hello there\ndone\n", 0]);
    expect(json(await call(instance, "POST", `/processes/${pid}/stdin`, { body: "late" }))).toMatchObject({
      code: "process_ended",
    });
  });

  it.each([
    ["a program that is not there", { argv: ["no-such-program"] }, 422, "cannot_start"],
    [
      "a program for a terminal that is not there",
      { argv: ["no-such-program"], terminal: { cols: 80, rows: 24 } },
      422,
      "cannot_start",
    ],
    ["a directory that is not there", { command: "true", cwd: "/no/such" }, 404, "not_found"],
    ["a file as the directory", { command: "true", cwd: "/etc/passwd" }, 409, "not_a_directory"],
    ["another user", { command: "true", user: "nobody-else" }, 403, "user_unavailable"],
    ["neither command nor argv", {}, 422, "invalid"],
    ["a field that is unknown", { command: "true", colour: 1 }, 422, "invalid"],
  ])("is refused with %s", async (_what, order, status, code) => {
    const reply = await post("/processes", order);
    expect([reply.status, json(reply)]).toEqual([status, expect.objectContaining({ code })]);
  });
});

describe("its end", () => {
  it("[TRA-9] a signal shows as one, never as an exit code", async () => {
    const pid = await started({ command: "exec sleep 600" });
    await post(`/processes/${pid}/signal`, { signal: "SIGKILL" });
    const { exit } = await outcomeOf(eventsOf(await open(instance, "GET", `/processes/${pid}/output`)));
    expect(exit).toEqual({ exit_code: null, signal: "SIGKILL", timed_out: false });
  });

  it("a signal to it alone leaves its children, an end takes them all", async () => {
    const pid = await started({ command: `${nap(4242)} & ${nap(4242)}; wait`, tag: "parent" });
    await until("two children", () => processesRunning(`${nap(4242)}`).length >= 2);
    expect((await call(instance, "DELETE", `/processes/${pid}`)).status).toBe(200);
    expect(processesRunning(`${nap(4242)}`)).toEqual([]);
    expect((await view(pid))["state"]).toBe("ended");
  });

  it("a time limit kills what it started as well", async () => {
    const { exit } = await run({ command: `(setsid ${nap(4343)} &) ; ${nap(4343)}`, timeout_seconds: 0.5 });
    expect(exit).toMatchObject({ timed_out: true });
    await until("nothing is left", () => processesRunning(`${nap(4343)}`).length === 0);
  });

  it("what it leaves in the background goes on, and does not keep it from ending", async () => {
    const { exit, stdout } = await run({ command: `${nap(4444)} & echo started` });
    expect([exit?.["exit_code"], stdout.toString()]).toEqual([0, "started\n"]);
    expect(processesRunning(`${nap(4444)}`).length).toBe(1);
  });

  it("with `end_with: output` it ends when nobody holds its output any more", async () => {
    const { stdout } = await run({ command: "(sleep 0.7; echo late) & echo early", end_with: "output" });
    expect(stdout.toString()).toBe("early\nlate\n");
  });
});

describe("its output", () => {
  it("comes again from any byte on, also after the end", async () => {
    const pid = await started({ command: "printf abc; printf def >&2" });
    await until("the end", async () => (await view(pid))["state"] === "ended");
    const from = async (offset: number) =>
      outcomeOf(eventsOf(await open(instance, "GET", `/processes/${pid}/output?offset=${offset}`)));
    const all = await from(0);
    expect(all.stdout.toString() + all.stderr.toString()).toHaveLength(6);
    const rest = await from(4);
    expect(rest.stdout.length + rest.stderr.length).toBe(2);
    expect((await call(instance, "GET", `/processes/${pid}/output?offset=7`)).status).toBe(416);
  });

  it("[TRA-4] nothing is lost for a reader that is slow, and its process waits", async () => {
    const bytes = 12_000_000;
    const answer = await open(instance, "POST", "/processes?output=true", {
      body: JSON.stringify({ argv: ["sh", "-c", `head -c ${bytes} /dev/zero`] }),
    });
    answer.pause();
    const pid = Number(/"pid":(\d+)/.exec(await firstChunk(answer))?.[1]);
    let seen = -1;
    await until("the process waits", async () => {
      const now = Number((await view(pid))["output_bytes"]);
      const stands = now === seen;
      seen = now;
      return stands && now > 0;
    });
    expect(seen).toBeLessThan(bytes);
    const { stdout, gaps, exit } = await outcomeOf(eventsOf(answer));
    expect([stdout.length, gaps, exit?.["exit_code"]]).toEqual([bytes, [], 0]);
  });

  it("[TRA-4] a reader that is stuck does not hold up another one of the same process", async () => {
    // It writes only once both are there.
    const pid = await started({ command: "read line; head -c 8000000 /dev/zero", stdin: true });
    const stuck = await open(instance, "GET", `/processes/${pid}/output`);
    stuck.pause();
    const reads = await open(instance, "GET", `/processes/${pid}/output`);
    await call(instance, "POST", `/processes/${pid}/stdin?end=true`, { body: "go\n" });
    const { stdout } = await outcomeOf(eventsOf(reads));
    expect(stdout.length).toBe(8_000_000);
    const late = await outcomeOf(eventsOf(stuck));
    expect(late.gaps.length).toBeGreaterThan(0);
    expect(late.exit).toMatchObject({ exit_code: 0 });
  });

  it("while nobody reads, the last megabyte is kept and the rest is named", async () => {
    const pid = await started({ command: "head -c 5000000 /dev/zero" });
    await until("the end", async () => (await view(pid))["state"] === "ended");
    const { stdout, gaps } = await outcomeOf(eventsOf(await open(instance, "GET", `/processes/${pid}/output`)));
    expect(gaps).toEqual([{ from: 0, to: 5_000_000 - stdout.length }]);
    expect(stdout.length).toBeGreaterThan(100_000);
  });
});

describe("the list and the idle clock", () => {
  it("[TRA-8] a running process is work until it has ended", async () => {
    const pid = await started({ command: "exec sleep 600", tag: "listed" });
    const listed = json(await call(instance, "GET", "/processes")) as { data: { pid: number; tag: string | null }[] };
    expect(listed.data).toContainEqual(expect.objectContaining({ pid, tag: "listed", state: "running" }));
    await until("the renewal counts it", async () => (await instance.renew()).active_jobs > 0);
    expect((await instance.renew()).idle_ms).toBe(0);
    await call(instance, "DELETE", `/processes/${pid}`);
    await until("the renewal counts none", async () => (await instance.renew()).active_jobs === 0);
    expect(isRunning(pid)).toBe(false);
  });
});

async function firstChunk(answer: Awaited<ReturnType<typeof open>>): Promise<string> {
  for (;;) {
    const chunk = answer.read() as Buffer | null;
    if (chunk !== null) {
      answer.unshift(chunk);
      return chunk.toString();
    }
    await new Promise((resolve) => answer.once("readable", resolve));
  }
}
