/** A small fleet on a real stack, with a session in each state that a person wants to see; the stuck ones by the host's faults. */
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import { Api } from "../../../scripts/stack/api.ts";
import type { CreateSession, SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

export interface Scene {
  readonly world: TemporaryStack;
  readonly url: string;
  readonly adminToken: string;
  /** Of the tenant `acme`, whose sessions these are. */
  readonly key: string;
  /** Of a tenant that must see nothing of it. */
  readonly strangerKey: string;
  readonly api: Api;
  readonly strangers: SessionView;
  readonly running: SessionView;
  readonly paused: SessionView;
  readonly ended: SessionView;
  /** Its sandbox was killed from outside. */
  readonly lost: SessionView;
  /** Its host neither stops its sandbox nor looks at it. */
  readonly stuck: SessionView;
  fault(order: HostFault): Promise<void>;
  clearFaults(): Promise<void>;
  create(order: CreateSession): Promise<SessionView>;
}

const seen = { labels: { team: "web", stage: "test" }, agent_type: "coder", idle_timeout_seconds: 3_600 } as const;

/** `vars`: besides those of the scene. */
export async function setScene(vars: Readonly<Record<string, string>> = {}): Promise<Scene> {
  const world = await temporaryStack({ faults: true, vars: { ...sceneVars, ...vars } });
  const { stack } = world;
  const [key, strangerKey] = [await stack.apiKey("acme", ["critical"]), await stack.apiKey("stranger")];
  const signal = new AbortController().signal;
  const api = new Api(stack.url, key, signal);
  const stranger = new Api(stack.url, strangerKey, signal);
  const create = async (order: CreateSession): Promise<SessionView> => {
    const { id } = await api.create(order);
    return await until(`session ${id} runs`, async () => {
      const now = await api.session(id);
      return now.status === "running" ? now : null;
    });
  };
  const send = async (method: string, body?: HostFault): Promise<void> => {
    await fetch(`${stack.hostUrl}/faults`, {
      method,
      headers: { authorization: `Bearer ${stack.secrets.LOCAL_HOST_TOKEN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  };
  const post = async (path: string, body: object): Promise<void> => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(`${stack.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST ${path}: ${await answer.text()}`);
  };
  const strangers = await stranger.create({ ...seen, labels: { owner: "stranger" } });
  const running = await create({ ...seen, task_id: "build-42" });
  await api.run(running.id, { id: "build", command: "for n in 1 2 3 4 5; do echo compiling module $n of 5; done" });
  await api.run(running.id, { id: "watch", command: "while true; do echo tick; sleep 1; done" });
  const paused = await create({ ...seen, task_id: "nightly" });
  await api.pause(paused.id);
  const ended = await create({ ...seen, task_id: "lint" });
  await api.run(ended.id, { id: "lint", command: "echo checked 214 files, no finding" });
  await until("the lint has ended", async () => (await api.job(ended.id, "lint")).ended_at !== null);
  await api.delete(ended.id);
  await until("it is proven gone", async () => (await api.session(ended.id)).status === "terminated");
  await until("it is paused", async () => (await api.session(paused.id)).status === "paused");
  const lost = await create({ ...seen, labels: { team: "web" }, task_id: "index" });
  for (const each of await stack.residue()) if (each.session_id === lost.id) kill(each.pid);
  await until("it is lost", async () => (await api.session(lost.id)).status === "lost");
  await create({ ...seen, isolation: "shared", task_id: "review" });
  // Of an event that does not happen here: nothing is sent to anybody.
  await post("/v1/webhooks", { url: "https://example.com/mooring", events: ["session.snapshots_forgotten"] });
  await post(`/v1/sessions/${running.id}/snapshots`, { name: "after-build" });
  const stuck = await create({ ...seen, labels: { team: "data" }, task_id: "crawl" });
  // Neither stopped nor seen: its wrapper ends itself when its lease lapses, but nobody can prove it.
  await send("POST", { op: "stop", mode: "error", count: 10_000 });
  await send("POST", { op: "observe", mode: "error", count: 10_000 });
  await api.delete(stuck.id);
  return {
    world,
    url: stack.url,
    adminToken: stack.secrets.ADMIN_TOKEN,
    key,
    strangerKey,
    api,
    strangers,
    running,
    paused,
    ended,
    lost,
    stuck,
    create,
    fault: (order) => send("POST", order),
    clearFaults: () => send("DELETE"),
  };
}

/** Another member of its group may have ended it already. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone, which is what was wanted.
  }
}

/** Clocks that a slow machine can follow, but for the one that calls a teardown stuck. */
export const sceneVars = {
  STUCK_AFTER_SECONDS: "2",
  STOP_ATTEMPT_SECONDS: "24",
  LEASE_TTL_SECONDS: "120",
  LEASE_RENEW_SECONDS: "10",
  OBSERVE_TIMEOUT_SECONDS: "5",
  ALARM_SLIP_SECONDS: "0",
  JOB_GRACE_SECONDS: "1",
  STOP_GRACE_SECONDS: "2",
  RATE_LIMIT_READS: "off",
  RATE_LIMIT_WRITES: "off",
} as const;
