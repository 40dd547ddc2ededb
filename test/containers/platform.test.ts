/** What the provider stands on, on real containers: one start wins, a look starts nothing, absence has three witnesses, a closed network is closed. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildTemplate } from "../../scripts/templates/build-template.ts";
import { must } from "../../scripts/containers/run-command.ts";
import { repository } from "../../scripts/repository.ts";
import { leftoversOf } from "../../scripts/containers/leftovers.ts";
import { until } from "../support/until.ts";
import type { BoxLook } from "../../scripts/probe/box-look.ts";
import { type DevWorker, startDevWorker } from "./support/dev-worker.ts";
import { describeOnContainers, localImage } from "./support/real-containers.ts";

const server = `require("http").createServer((_, r) => r.end("here")).listen(8080)`;
const program = { entrypoint: ["node", "-e", server] };
const worker = "mooring-probe";

/** This machine, seen from a container. */
function bridgeGateway(): string {
  return must("docker", ["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]).trim();
}

describeOnContainers("the container API", () => {
  let dev: DevWorker;
  beforeAll(async () => {
    const config = join(repository, "scripts/probe/wrangler.toml");
    dev = await startDevWorker({ config, worker, vars: { LOCAL_IMAGE: localImage } });
  }, 90_000);
  afterAll(() => dev?.stop());

  /** A container that an earlier run left under the same name would be adopted as running. */
  const fresh = (): string => `box-${crypto.randomUUID()}`;

  async function ask<T>(box: string, call: string, argument: unknown = null): Promise<T> {
    const reply = await fetch(`${dev.url}/${box}/${call}`, { method: "POST", body: JSON.stringify(argument) });
    const answer: unknown = await reply.json();
    if (!reply.ok) throw new Error(JSON.stringify(answer));
    return answer as T;
  }
  const untilServing = (box: string): Promise<BoxLook> =>
    until("the program in the container answers", async () => {
      const seen = await ask<BoxLook>(box, "look");
      return seen.port === "here" ? seen : null;
    });

  it("one of eight starts wins, its labels say which, and after the end three witnesses say that it is gone", async () => {
    const box = fresh();
    const before = await ask<BoxLook>(box, "look");
    expect(before).toMatchObject({ running: false, inspected: null });
    const starts = Array.from({ length: 8 }, (_, number) => ({ ...program, labels: { number: String(number) } }));
    const came = await ask<string[]>(box, "start", starts);
    expect(came.filter((one) => one === "started")).toEqual(["started"]);
    expect(await untilServing(box)).toMatchObject({ running: true, inspected: { labels: { number: "0" } } });
    await ask(box, "destroy");
    const after = await ask<BoxLook>(box, "look");
    expect(after).toMatchObject({ running: false, inspected: null });
    expect(after.port).not.toBe("here");
  });

  it("a container with Internet reaches this machine; without, its connection is refused", async () => {
    const listener = createServer((socket) => socket.end()).listen(0, "0.0.0.0");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    const script = `timeout 5 bash -c 'echo > /dev/tcp/${bridgeGateway()}/${port}' 2>/dev/null; echo $?`;
    const codes: string[] = [];
    for (const enableInternet of [true, false]) {
      const box = fresh();
      await ask(box, "start", [{ ...program, enableInternet }]);
      await untilServing(box);
      codes.push((await ask<{ stdout: string }>(box, "exec", ["sh", "-c", script])).stdout.trim());
      await ask(box, "destroy");
    }
    listener.close();
    expect(codes).toEqual(["0", "1"]);
  });

  it("a template that was prepared by commands is what later containers start from, and a step that fails keeps nothing", async () => {
    const built = await buildTemplate(
      ask,
      fresh(),
      "own",
      { steps: ["echo prepared > /etc/own-file"], check: "cat /etc/own-file" },
      () => {},
    );
    // workerd gives a start up when a busy machine is slow with its sidecar: another object is tried then.
    const seen = await until(
      "a container that was started from the snapshot answers",
      async () => {
        const box = fresh();
        await ask(box, "start", [{ ...program, containerSnapshot: { id: built.snapshot } }]);
        const read = await ask<{ stdout: string }>(box, "exec", ["cat", "/etc/own-file"]).catch(() => null);
        await ask(box, "destroy");
        return read;
      },
      60_000,
    );
    expect(seen.stdout).toBe("prepared\n");
    const failing = buildTemplate(ask, fresh(), "own", { steps: ["echo why >&2; exit 3"], check: "true" }, () => {});
    await expect(failing).rejects.toThrow(/ended with 3: .*\nwhy/s);
  });

  it("the tools that agents need are in the image", async () => {
    const box = fresh();
    await ask(box, "start", [program]);
    const script =
      "git --version && python3 -c 'print(1)' && node --version && rg --version && curl --version && id user";
    const told = await ask<{ code: number; stderr: string }>(box, "exec", ["sh", "-c", script]);
    expect(told).toMatchObject({ code: 0, stderr: "" });
    await ask(box, "destroy");
    const left = leftoversOf(process.env["DOCKER_HOST"] ?? "", worker).containers;
    expect(left.filter((name) => !name.endsWith("-proxy"))).toEqual([]);
  });
});
