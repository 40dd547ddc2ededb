/** A real stack in which the quieter pages of the console are full: audits, shared containers, keys, webhooks, snapshots, the log. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { freshKey } from "../../../scripts/stack/fresh-key.ts";
import { Api } from "../../../scripts/stack/api.ts";
import { type Generation, type InstanceId, isolatedSandboxId, type SessionId } from "../../../src/domain/state/ids.ts";
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import type { CreateSession, SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { hostHealth } from "../../../src/protocol/sandbox/host.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { systemClock, systemIds } from "../../../src/wiring/system.ts";
import { temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";
import { sceneVars } from "./scene.ts";

export interface FullScene {
  readonly world: TemporaryStack;
  readonly url: string;
  readonly adminToken: string;
  /** Of `acme`, whose things these are. */
  readonly key: string;
  /** Of a tenant that has nothing. */
  readonly emptyKey: string;
  readonly running: SessionView;
  /** Ids of plans: with a finding that is still open, applied, and with nothing found. */
  readonly audits: { readonly open: string; readonly applied: string; readonly empty: string };
  readonly containers: { readonly open: string; readonly stopping: string };
  readonly webhooks: { readonly taken: string; readonly failing: string };
  stop(): Promise<void>;
}

export const longName = "with-all-dependencies-of-the-monorepo-and-a-warm-build-cache.v12";
const longReason =
  "the machine was taken out of its rack at noon, its disks were wiped, and the provider confirmed in writing that nothing of it is left anywhere";

export async function setFullScene(): Promise<FullScene> {
  const vars = { ...sceneVars, WEBHOOK_ALLOW_PRIVATE: "true", STOP_ATTEMPTS: "2" };
  const world = await temporaryStack({ faults: true, vars });
  const { stack } = world;
  const receiver = await listening();
  const key = await stack.apiKey("acme");
  const api = new Api(stack.url, key, new AbortController().signal);
  const call = async (by: string, method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const headers = {
      authorization: `Bearer ${by}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const answer = await fetch(`${stack.url}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  const tenant = (method: string, path: string, body?: object) => call(key, method, path, body);
  const admin = (method: string, path: string, body?: object) => call(stack.secrets.ADMIN_TOKEN, method, path, body);
  const running = async (order: CreateSession): Promise<SessionView> => {
    const { id } = await api.create({ idle_timeout_seconds: 3_600, ...order });
    return await until(
      `session ${id} runs`,
      async () => {
        const now = await api.session(id);
        return now.status === "running" ? now : null;
      },
      90_000,
    );
  };
  const fault = (order: HostFault) =>
    fetch(`${stack.hostUrl}/faults`, {
      method: "POST",
      headers: { authorization: `Bearer ${stack.secrets.LOCAL_HOST_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify(order),
    });

  // Webhooks: one that takes all, one whose receiver is gone, one that is switched off.
  const hook = async (order: object) => String((await tenant("POST", "/v1/webhooks", order))["id"]);
  const taken = await hook({ url: `http://127.0.0.1:${receiver.port}/hook`, description: "the bot of the team" });
  const failing = await hook({
    url: `http://127.0.0.1:9/integrations/agent-sandboxes/production/europe/${"very-".repeat(12)}long-address`,
    events: [
      "session.snapshots_forgotten",
      "session.clock_went_back",
      "session.budget_warning",
      "session.contents_lost",
    ],
  });
  const off = await hook({ url: "https://example.com/mooring", events: ["session.*"] });
  await tenant("PATCH", `/v1/webhooks/${off}`, { enabled: false });

  // Snapshots: named, with a name as long as one may be, and without a name.
  const first = await running({ labels: { team: "web" }, task_id: "build-42", agent_type: "coder" });
  const job = await api.run(first.id, {
    command: "head -c 3000000 /dev/urandom > cache.bin; echo '<h1>hello</h1>' > index.html",
  });
  await until("its files are written", async () => (await api.job(first.id, job.id)).ended_at !== null, 60_000);
  for (const name of ["after-build", longName, null])
    await tenant("POST", `/v1/sessions/${first.id}/snapshots`, name === null ? {} : { name });

  // Keys: used, narrow, with an end, revoked.
  const sign = (scopes: readonly string[], expiresAt: number | null) =>
    freshKey({ tenant: "acme", scopes: scopes as never, expiresAt }, stack.secrets.KEY_SIGNING_SECRET);
  for (const each of [
    await sign(["read"], Date.now() + 30 * 86_400_000),
    await sign(["read", "run", "critical"], null),
  ])
    await call(each, "GET", "/v1/usage");
  const leaked = (await sign([], null)).split("_")[2] ?? "";
  await admin("DELETE", `/v1/admin/keys/acme/${leaked}`, { reason: longReason });

  // Audits: what nobody has a record of is found; one plan is applied, one waits, one finds nothing.
  const plan = async () => await admin("POST", "/v1/admin/audits");
  const empty = String((await plan())["id"]);
  await strayIn(world, "stray000000000000001");
  const due = await plan();
  await admin("POST", `/v1/admin/audits/${String(due["id"])}/apply`, { plan_hash: due["plan_hash"] });
  await strayIn(world, "stray000000000000002");
  const open = await plan();

  // Shared containers: one with members, one that cannot be ended.
  const stays = [await running({ isolation: "shared" }), await running({ isolation: "shared", task_id: "review" })];
  const otherKey = await stack.apiKey("a-customer-with-a-very-long-name");
  const other = new Api(stack.url, otherKey, new AbortController().signal);
  const doomed = await other.create({ isolation: "shared", idle_timeout_seconds: 3_600 });
  await until("it runs", async () => (await other.session(doomed.id)).status === "running", 90_000);
  const stopping = (await other.session(doomed.id)).container_id ?? "";
  for (const op of ["stop", "observe"] as const) await fault({ op, mode: "error", count: 10_000 });
  await other.delete(doomed.id);
  await until(
    "its teardown is parked",
    async () => (await other.session(doomed.id)).blocked?.code === "parked",
    90_000,
  );
  await admin("POST", "/v1/admin/drain", { draining: true, reason: longReason });
  await admin("POST", "/v1/admin/drain", { draining: false, reason: "over" });
  for (const id of [taken, failing]) await tenant("POST", `/v1/webhooks/${id}/test`);
  await until(
    "an attempt has failed",
    async () => (await tenant("GET", `/v1/webhooks/${failing}`))["failing_since"] !== null,
    90_000,
  );
  return {
    world,
    url: stack.url,
    adminToken: stack.secrets.ADMIN_TOKEN,
    key,
    emptyKey: await stack.apiKey("newcomer"),
    running: first,
    audits: { open: String(open["id"]), applied: String(due["id"]), empty },
    containers: { open: stays[0]?.container_id ?? "", stopping },
    webhooks: { taken, failing },
    stop: async () => {
      receiver.server.closeAllConnections();
      receiver.server.close();
      await world.stop();
    },
  };
}

async function listening(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((_, response) => response.writeHead(204).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

/** A sandbox of this control plane that no session has a record of. */
async function strayIn({ stack }: TemporaryStack, sessionId: string): Promise<void> {
  const token = stack.secrets.LOCAL_HOST_TOKEN;
  const health = await fetch(`${stack.hostUrl}/health`, { headers: { authorization: `Bearer ${token}` } });
  const { control_plane: controlPlane } = hostHealth.parse(await health.json());
  const generation = (Date.now() - 3_600_000) as Generation;
  const launched = await localSandbox({
    ...{ url: stack.hostUrl, token, fetch, clock: systemClock, ids: systemIds },
    controlPlane: async () => controlPlane ?? null,
  }).launch(
    {
      ...{
        sessionId: sessionId as SessionId,
        sandboxId: isolatedSandboxId(sessionId as SessionId, generation),
        generation,
      },
      ...{ instanceId: systemIds.id() as InstanceId, secret: systemIds.secret() },
      ...{ launchNotAfter: Date.now() + 60_000, leaseTtlMs: 600_000, jobGraceMs: 1_000, stopGraceMs: 3_000, env: {} },
    },
    { timeoutMs: 60_000, signal: AbortSignal.timeout(60_000) },
  );
  if (!launched.ok) throw new Error(`The stray was not launched: ${JSON.stringify(launched)}`);
}
