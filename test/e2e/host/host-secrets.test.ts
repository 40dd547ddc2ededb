/** What a launch is given in confidence lies in no file of the host, whether the launch worked, failed or was cut short. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { ContractSession, valueOf } from "../../contract/contract-session.ts";
import { RunningHost } from "../../support/running-host.ts";
import { systemClock, systemIds, testControlPlane } from "../../support/system-runtime.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const value = `value-${systemIds.secret()}`;

async function started(wrapper: string | null): Promise<{ host: RunningHost; session: ContractSession }> {
  const host = await RunningHost.start(wrapper === null ? {} : { arguments: ["--wrapper", wrapperFile(wrapper)] });
  closing.push(() => host.close());
  const runtime = { clock: systemClock, ids: systemIds, fetch: (...call: Parameters<typeof fetch>) => fetch(...call) };
  const session = new ContractSession(
    {
      provider: localSandbox({ url: host.url, token: host.token, controlPlane: testControlPlane, ...runtime }),
      sessionId: () => host.session() as SessionId,
      now: Date.now,
      wait: (ms) => systemClock.sleep(ms),
      settle: (promise) => promise,
      jobs: { echo: String, exit: String, sleep: "sleep 300", ignoreTerm: "", fork: "", cat: "cat" },
      can: {},
      close: async () => {},
    },
    { secret: systemIds.secret(), env: { API_TOKEN: value } },
  );
  return { host, session };
}

function wrapperFile(source: string): string {
  const directory = mkdtempSync(join(tmpdir(), "mooring-broken-wrapper-"));
  closing.push(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "wrapper.js"), source);
  return join(directory, "wrapper.js");
}

/** Every file of the host that holds the secret or the value, by its path below the state directory. */
function tellTales({ state }: RunningHost, { order }: ContractSession): readonly string[] {
  return readdirSync(state, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return [];
    const path = join(entry.parentPath, entry.name);
    const content = readFileSync(path, "utf8");
    return content.includes(order.secret) || content.includes(value) ? [path.slice(state.length + 1)] : [];
  });
}

it("[BUG-85] a sandbox that runs has neither its secret nor its vars in a file", async () => {
  const { host, session } = await started(null);
  await session.held();
  const instances = join(host.state, "sandboxes", session.order.sandboxId, "instances", session.order.instanceId);
  expect(readdirSync(join(instances, "state")).length).toBeGreaterThan(0);
  expect(tellTales(host, session)).toEqual([]);
});

it.each([
  ["a wrapper that reads its boot document and fails", "process.stdin.on('end', () => process.exit(3)).resume();"],
  ["a wrapper that fails before it reads", "throw new Error('broken');"],
  ["a wrapper that cannot be parsed", "function {"],
])("[BUG-85] %s leaves neither secret nor vars in a file", async (_what, source) => {
  const { host, session } = await started(source);
  const failed = await session.launch();
  expect(failed).toMatchObject({ ok: false, failure: { effect: "none" } });
  expect(JSON.stringify(failed)).not.toContain(session.order.secret);
  expect(readdirSync(join(host.state, "sandboxes"))).toContain(session.order.sandboxId);
  expect(tellTales(host, session)).toEqual([]);
});

it("[BUG-85] a host that is killed in the middle of a launch leaves neither secret nor vars in a file", async () => {
  const { host, session } = await started("process.stdin.resume(); setTimeout(() => {}, 60_000);");
  const launch = session.launch();
  await session.becomes(
    "the guardian",
    async () => readdirSync(join(host.state, "sandboxes")).includes(session.order.sandboxId),
    (isThere) => isThere,
  );
  await host.kill("SIGKILL");
  expect(await launch).toMatchObject({ ok: false });
  expect(tellTales(host, session)).toEqual([]);
  await host.start();
  valueOf(await session.retire(), "retire");
  valueOf(await session.stop(), "stop");
});
