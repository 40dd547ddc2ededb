/** That the local adapter runs on workerd's own fetch and signals; what it makes of answers is test/contract/local-adapter.test.ts. */
import { expect, it } from "vitest";
import type { Generation, InstanceId, SandboxId, SessionId } from "../../src/domain/state/ids.ts";
import { localSandbox } from "../../src/sandbox/local/local-sandbox.ts";
import type { Clock, Ids } from "../../src/runtime/clock-ids-logger.ts";

const clock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};
const ids: Ids = { id: () => "i".repeat(20), secret: () => "0".repeat(64), random: () => 0 };
const target = {
  sessionId: "s".repeat(20) as SessionId,
  sandboxId: `${"s".repeat(20)}-g1` as SandboxId,
  generation: 1 as Generation,
  instanceId: "i" as InstanceId,
  host: null,
};

it("a host that nobody runs is unknown in workerd too, and a stop may have had its effect [PHY-1]", async () => {
  const sandbox = localSandbox({
    url: "http://127.0.0.1:9",
    token: "t",
    fetch,
    clock,
    ids,
    controlPlane: async () => null,
  });
  const bound = () => ({ timeoutMs: 5_000, signal: new AbortController().signal });
  const seen = await sandbox.observe(target, 1, bound());
  expect(seen).toMatchObject({ answer: "unknown", host: null });
  expect(seen.detail).not.toMatch(/illegal invocation/i);
  expect(await sandbox.stop(target, 1, bound())).toMatchObject({
    ok: false,
    failure: { code: "unavailable", effect: "unknown" },
  });
  const health = await sandbox.wrapper({ ...target, secret: "x".repeat(64) }).health(bound());
  expect(health).toMatchObject({ ok: false, failure: { code: "unavailable" } });
});
