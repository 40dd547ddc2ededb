/** The local host when many launches come at once. */
import { globSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
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
