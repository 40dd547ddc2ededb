/** A host serves the control plane that asked first, across restarts, until its operator says otherwise. */
import { afterEach, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { controlPlaneHeader } from "../../../src/protocol/sandbox/host.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { bound, ContractSession, valueOf } from "../../contract/contract-session.ts";
import type { ProviderWorld } from "../../contract/provider-harness.ts";
import { RunningHost } from "../../support/running-host.ts";
import { systemClock, systemIds } from "../../support/system-runtime.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const first = "control-plane-1";
const second = "control-plane-2";

async function running(): Promise<RunningHost> {
  const host = await RunningHost.start();
  closing.push(() => host.close());
  return host;
}

/** The host's world as one control plane sees it. */
function worldOf(host: RunningHost, controlPlane: string): ProviderWorld {
  const runtime = { clock: systemClock, ids: systemIds, fetch: (...call: Parameters<typeof fetch>) => fetch(...call) };
  const id = (): Promise<string> => Promise.resolve(controlPlane);
  return {
    provider: localSandbox({ url: host.url, token: host.token, controlPlane: id, ...runtime }),
    sessionId: () => host.session() as SessionId,
    now: Date.now,
    wait: (ms) => systemClock.sleep(ms),
    settle: (promise) => promise,
    jobs: { echo: String, exit: String, sleep: "sleep 300", ignoreTerm: "", fork: "", cat: "cat" },
    can: {},
    close: async () => {},
  };
}

const askAs = (host: RunningHost, controlPlane: string, path: string) =>
  host.ask("GET", path, undefined, host.token, { [controlPlaneHeader]: controlPlane });

it("[BUG-104] a second control plane sees, stops and ends nothing of the first one's sandboxes", async () => {
  const host = await running();
  const mine = worldOf(host, first);
  const session = new ContractSession(mine);
  await session.held();
  const other = worldOf(host, second).provider;
  const target = session.target();
  expect(await other.enumerate?.(bound())).toMatchObject({
    ok: false,
    failure: { message: expect.stringContaining("foreign_control_plane") },
  });
  expect(await other.files?.(bound())).toMatchObject({
    ok: false,
    failure: { message: expect.stringContaining("foreign_control_plane") },
  });
  expect(await other.observe(target, Date.now(), bound())).toMatchObject({ answer: "unknown", host: null });
  expect(await other.retire(target, bound())).toMatchObject({ ok: false, failure: { effect: "none" } });
  expect(await other.stop(target, 0, bound())).toMatchObject({ ok: false, failure: { effect: "none" } });
  expect(await new ContractSession(worldOf(host, second)).launch()).toMatchObject({
    ok: false,
    failure: { effect: "none", message: expect.stringContaining("belongs to control plane control-plane-1") },
  });
  valueOf(await session.renew(), "renewal");
  expect((await session.observe()).answer).toBe("present");
});

it("[BUG-104] the control plane is remembered across a restart, and forgotten only on order", async () => {
  const host = await running();
  expect((await askAs(host, first, "/health")).status).toBe(200);
  expect(await askAs(host, second, "/health")).toMatchObject({ status: 409, body: { code: "foreign_control_plane" } });
  await host.kill("SIGKILL");
  await host.start();
  expect((await askAs(host, second, "/sandboxes")).status).toBe(409);
  expect(await host.ask("GET", "/health")).toMatchObject({ status: 200, body: { control_plane: first } });
  await host.kill("SIGTERM");
  await host.start(["--forget-control-plane"]);
  await host.ready();
  expect((await askAs(host, second, "/sandboxes")).status).toBe(200);
  expect((await askAs(host, first, "/sandboxes")).status).toBe(409);
});

it("[BUG-104] an id that is none is refused before it is stored", async () => {
  const host = await running();
  expect((await askAs(host, "a b", "/health")).status).toBe(422);
  expect((await askAs(host, second, "/health")).status).toBe(200);
});
