/** Restores of the local host that take long: told, resumed, and ended with their sandbox. The archive program waits for the test. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import { localSandbox } from "../../../src/sandbox/local/local-sandbox.ts";
import { bound, ContractSession, valueOf } from "../../contract/contract-session.ts";
import type { ProviderWorld } from "../../contract/provider-harness.ts";
import { RunningHost } from "../../support/running-host.ts";
import { systemClock, systemIds, testControlPlane } from "../../support/system-runtime.ts";
import { until } from "../../support/until.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** A host whose `tar` unpacks nothing before the gate is open. */
async function slowHost(): Promise<{
  readonly host: RunningHost;
  readonly world: ProviderWorld;
  readonly open: () => void;
}> {
  const home = mkdtempSync(join(tmpdir(), "mooring-slow-tar-"));
  closing.push(() => rmSync(home, { recursive: true, force: true }));
  const gate = join(home, "open");
  const path = process.env["PATH"] ?? "";
  const wait = `case "$1" in --extract) while [ ! -e '${gate}' ]; do sleep 0.05; done;; esac`;
  writeFileSync(join(home, "tar"), `#!/bin/sh\n${wait}\nPATH='${path}' exec tar "$@"\n`);
  chmodSync(join(home, "tar"), 0o755);
  process.env["PATH"] = `${home}:${path}`;
  const host = await RunningHost.start().finally(() => (process.env["PATH"] = path));
  closing.push(() => host.close());
  const runtime = { clock: systemClock, ids: systemIds, controlPlane: testControlPlane };
  const fetching = (...call: Parameters<typeof fetch>) => fetch(...call);
  const world: ProviderWorld = {
    provider: localSandbox({ url: host.url, token: host.token, ...runtime, fetch: fetching }),
    sessionId: () => host.session() as SessionId,
    now: Date.now,
    wait: (ms) => systemClock.sleep(ms),
    settle: (promise) => promise,
    jobs: { echo: String, exit: String, sleep: "sleep 300", ignoreTerm: "", fork: "", cat: "cat" },
    can: {},
    close: async () => {},
  };
  return { host, world, open: () => writeFileSync(gate, "") };
}

/** A saved workspace, and the next generation that is to have it. */
async function saved(host: RunningHost, world: ProviderWorld) {
  const session = new ContractSession(world);
  await session.held();
  writeFileSync(join(host.state, "sandboxes", session.order.sandboxId, "workspace", "notes"), "kept");
  const { snapshots } = world.provider;
  valueOf(await snapshots!.save(session.target(), "s1", bound()), "save");
  valueOf(await session.retire(), "retire");
  valueOf(await session.stop(), "stop");
  await session.becomesAbsent();
  valueOf(await world.provider.destroy(session.target(), bound()), "destroy");
  const next = session.successor();
  const { sessionId, sandboxId, instanceId, generation } = next.order;
  const restore = (waitMs: number) =>
    snapshots!.restore!({ sessionId, sandboxId, instanceId, generation, snapshotId: "s1", waitMs }, bound());
  return { next, restore };
}

it("[BUG-102] a restore goes on when its caller goes away, tells how far it is, and the launch finds it done", async () => {
  const { host, world, open } = await slowHost();
  const { next, restore } = await saved(host, world);
  expect(valueOf(await restore(50), "the first question")).toMatchObject({ done: false });
  expect(valueOf(await restore(0), "a second one")).toMatchObject({ done: false, totalBytes: expect.any(Number) });
  open();
  await until("it is restored", async () => valueOf(await restore(100), "a later one").done);
  const notes = join(host.state, "sandboxes", next.order.sandboxId, "workspace", "notes");
  expect(readFileSync(notes, "utf8")).toBe("kept");
  // Restored once: what the launch finds is not unpacked again.
  writeFileSync(notes, "not unpacked again");
  valueOf(await next.launch({ restore: "s1" }), "launch");
  expect(readFileSync(notes, "utf8")).toBe("not unpacked again");
});

it("[BUG-106] a retirement ends the restore, destroying waits for that, and nothing of it is left", async () => {
  const { host, world } = await slowHost();
  const { next, restore } = await saved(host, world);
  expect(valueOf(await restore(50), "the first question")).toMatchObject({ done: false });
  const waiting = restore(50_000);
  valueOf(await next.retire(), "retire");
  expect(await waiting).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
  valueOf(await world.provider.destroy(next.target(), bound()), "destroy");
  expect(readdirSync(join(host.state, "sandboxes"))).toEqual([".removing"]);
  await until("it is removed", () => readdirSync(join(host.state, "sandboxes", ".removing")).length === 0);
  expect(await restore(0)).toMatchObject({ ok: false, failure: { code: "refused_retired" } });
});

it("[BUG-106] a launch that restores by itself is ended by a retirement as well", async () => {
  const { host, world } = await slowHost();
  const { next } = await saved(host, world);
  const launch = next.launch({ restore: "s1" });
  await until("it restores", () => readdirSync(join(host.state, "sandboxes")).includes(next.order.sandboxId));
  valueOf(await next.retire(), "retire");
  valueOf(await world.provider.destroy(next.target(), bound()), "destroy");
  expect(await launch).toMatchObject({ ok: false, failure: { code: "refused_retired", effect: "none" } });
  expect(readdirSync(join(host.state, "sandboxes"))).toEqual([".removing"]);
});
