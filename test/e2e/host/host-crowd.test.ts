/** The local host when many launches come at once. */
import { globSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { LaunchTurns } from "../../../wrapper/host/launch/launch-turns.ts";
import { launchesAtOnce } from "../../../wrapper/host/launch/launcher.ts";
import { RunningHost } from "../../support/running-host.ts";

const comeUpMs = 240_000;

it(
  "of many launches at once a few programs start at a time, and all of them come up",
  { timeout: comeUpMs },
  async () => {
    const host = await RunningHost.start();
    try {
      let most = 0;
      let over = false;
      // The file is made with the start of a program, and filled when it listens.
      const starting = (): number =>
        globSync(`${host.state}/**/ready.json`).filter((file) => readFileSync(file, "utf8") === "").length;
      const watching = (async () => {
        while (!over) {
          most = Math.max(most, starting());
          await pause(2);
        }
      })();
      const answers = await Promise.all(
        Array.from({ length: 4 * launchesAtOnce }, () => {
          const session = host.session();
          return host.ask("PUT", `/instances/i-${session}`, {
            ...{ session_id: session, sandbox_id: `${session}-g1`, generation: 1, secret: "5ec".repeat(20) },
            ...{
              launch_not_after: Date.now() + comeUpMs,
              lease_ttl_ms: comeUpMs,
              job_grace_ms: 200,
              stop_grace_ms: 1_000,
            },
            env: {},
          });
        }),
      );
      over = true;
      await watching;
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(launchesAtOnce);
    } finally {
      await host.close();
    }
  },
);

it("a launch that waits too long for its turn is refused unstarted, and does not keep a turn", async () => {
  const turns = new LaunchTurns(1, 30);
  let release = (): void => {};
  const held = turns.run(() => new Promise<void>((resolve) => (release = resolve)));
  let started = 0;
  const late = turns.run(async () => (started += 1));
  await expect(late).rejects.toMatchObject({ code: "launch_failed" });
  release();
  await held;
  expect(started).toBe(0);
  expect(await turns.run(async () => "its turn")).toBe("its turn");
  const inOrder: number[] = [];
  await Promise.all([1, 2, 3].map((each) => turns.run(async () => void inOrder.push(each))));
  expect(inOrder).toEqual([1, 2, 3]);
});
