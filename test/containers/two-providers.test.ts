/**
 * A deploy that gives new sessions to the other provider, with both in one Worker and real containers of both. The SDK's client is the real
 * one; its server in the container is a stand-in, because the image of the SDK is in a registry.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { must } from "../../scripts/containers/run-command.ts";
import { Mooring } from "../../src/client/mooring.ts";
import { serverProgram } from "../support/sandbox-server.ts";
import { until } from "../support/until.ts";
import { describeOnContainers } from "./support/real-containers.ts";
import { containersOf, containersOfClass, RealMooring, type SessionView } from "./support/real-mooring.ts";
import { type SdkImage, sdkImage } from "./sdk/image.ts";

const port = 8_080;

describeOnContainers("two providers in one deployment", () => {
  let image: SdkImage;
  let mooring: RealMooring;
  beforeAll(async () => {
    image = await sdkImage();
    mooring = new RealMooring({ SANDBOX_PROVIDER: "sandbox-sdk" }, image.dockerfile);
    await mooring.start();
  });
  afterAll(async () => {
    await mooring.stop();
    image.remove();
  });

  it(
    "a sandbox of the SDK is saved and comes back, also after a save that failed [BUG-21, BUG-22]",
    { timeout: 300_000 },
    async () => {
      const id = await mooring.running({ auto_resume: false });
      await mooring.job(id, "echo saved > file");
      const [container = ""] = containersOfClass("SandboxContainer");
      must("docker", ["exec", container, "mv", "/opt/mooring/toolbox.js", "/opt/mooring/away.js"]);
      await mooring.call("POST", `/v1/sessions/${id}/pause`, {});
      await until(
        "the pause has failed",
        async () => (await mooring.events(id)).some(({ type }) => type === "pause_failed"),
        60_000,
      );
      expect(await mooring.job(id, "cat file")).toBe("saved\n");
      must("docker", ["exec", container, "mv", "/opt/mooring/away.js", "/opt/mooring/toolbox.js"]);
      await mooring.call("POST", `/v1/sessions/${id}/pause`, {});
      await mooring.becomes(id, "paused");
      await mooring.call("POST", `/v1/sessions/${id}/resume`, {});
      await mooring.becomes(id, "running");
      expect(await mooring.job(id, "cat file")).toBe("saved\n");
      await mooring.ended(id);
      expect(containersOfClass("")).toEqual([]);
    },
  );

  /** Files, a program, and a server by HTTP and by WebSocket, as whoever has an API key reaches them. */
  async function servesTraffic(id: string): Promise<void> {
    const session = new Mooring({ url: mooring.url, key: mooring.key, retry: { attempts: 1 } }).session(id);
    await session.files.write("sent", `to ${id}`);
    expect(await session.exec("cat sent")).toMatchObject({ exitCode: 0, stdout: `to ${id}` });
    await session.start({ argv: ["node", "-e", serverProgram, String(port)] });
    await until("the server listens", async () => (await session.ports()).some((one) => one.port === port), 90_000);
    const at = `/v1/sessions/${id}/ports/${port}`;
    expect(await (await mooring.raw(`${at}/inside`)).text()).toBe("inside");
    const headers = { authorization: `Bearer ${mooring.key}` };
    const socket = new WebSocket(`${mooring.url.replace(/^http/, "ws")}${at}/socket`, { headers });
    const said: string[] = [];
    socket.on("message", (text: Buffer) => said.push(text.toString()));
    await until("the WebSocket says hello", () => said.includes("hello"), 90_000);
    socket.send("again");
    await until("it says that back", () => said.includes("again"), 90_000);
    socket.close();
  }

  it(
    "a deploy strands no session of the SDK: it goes on and ends where it is, and new ones go to the other; traffic reaches both [CON-11] [TRA-11]",
    { timeout: 600_000 },
    async () => {
      const old = await mooring.running();
      expect(await mooring.job(old, "echo before > file; echo here")).toBe("here\n");
      const before = containersOfClass("SandboxContainer");
      expect(before).toHaveLength(1);

      await mooring.deploy({ SANDBOX_PROVIDER: "cloudflare" });
      expect(await mooring.job(old, "cat file")).toBe("before\n");
      expect(await mooring.call<SessionView>("GET", `/v1/sessions/${old}`)).toMatchObject({
        status: "running",
        provider: "sandbox-sdk",
      });
      expect(containersOfClass("SandboxContainer")).toEqual(before);
      const fresh = await mooring.running();
      expect((await mooring.call<SessionView>("GET", `/v1/sessions/${fresh}`)).provider).toBe("cloudflare");

      expect(containersOf(fresh)).toHaveLength(1);
      await servesTraffic(old);
      await servesTraffic(fresh);
      for (const [id, provider] of [
        [old, "sandbox-sdk"],
        [fresh, "cloudflare"],
      ] as const) {
        const { teardown } = await mooring.ended(id);
        expect((await mooring.raw(`/v1/sessions/${id}/ports/${port}/inside`)).status).toBe(410);
        expect(teardown?.verified_absent_at).not.toBeNull();
        expect(teardown?.evidence).toContain(`Provider ${provider}`);
      }
      expect(containersOfClass("")).toEqual([]);
    },
  );
});
