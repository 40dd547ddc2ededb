/** Files, processes, a terminal and a port of a real container, through the client. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Mooring, type TerminalSockets } from "../../src/client/mooring.ts";
import { serverProgram } from "../support/sandbox-server.ts";
import { until } from "../support/until.ts";
import { describeOnContainers } from "./support/real-containers.ts";
import { RealMooring } from "./support/real-mooring.ts";

const port = 8_080;
const megabytes = 32;

describeOnContainers("traffic of a container", () => {
  const mooring = new RealMooring();
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  it(
    "a file goes in and out whole, a program runs, a terminal answers, a port is reached [TRA-1, TRA-10, TRA-11]",
    { timeout: 300_000 },
    async () => {
      const id = await mooring.running();
      const session = new Mooring({ url: mooring.url, key: mooring.key, retry: { attempts: 1 } }).session(id);

      const bytes = randomBytes(megabytes * 1_024 * 1_024);
      await session.files.write("in and out", new Blob([bytes]).stream());
      const sum = await session.exec("sha256sum < 'in and out'; id -un");
      expect(sum).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^[0-9a-f]{64} .*\nuser\n$/) as string });
      expect(Buffer.from(await session.files.read("in and out")).equals(bytes)).toBe(true);
      // The home of the sandbox's user is the workspace, which is what a pause keeps.
      expect(await session.exec("echo kept > /home/user/in-home && cat in-home")).toMatchObject({ stdout: "kept\n" });
      expect(await session.exec("echo told >&2; exit 7")).toMatchObject({ exitCode: 7, stderr: "told\n" });

      let shown = "";
      const terminal = await session.terminal({
        WebSocket: WebSocket as unknown as TerminalSockets,
        onData: (seen) => (shown += Buffer.from(seen).toString()),
        cols: 90,
        rows: 20,
      });
      terminal.write("stty size; echo seen\n");
      await until("the terminal answers", () => shown.includes("20 90") && shown.includes("seen\r\n"));
      terminal.write("exit 4\n");
      expect(await terminal.closed).toEqual({ exit_code: 4, signal: null });

      await session.start({ argv: ["node", "-e", serverProgram], env: { PORT: String(port) } });
      await until("the server listens", async () => (await session.ports()).some((one) => one.port === port));
      const answer = await mooring.raw(`/v1/sessions/${id}/ports/${port}/bytes/100000`);
      expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, 100_000]);
      await mooring.ended(id);
      expect((await mooring.raw(`/v1/sessions/${id}/ports/${port}/count`)).status).toBe(410);
    },
  );
});
