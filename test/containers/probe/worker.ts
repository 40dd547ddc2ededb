/** A Worker that does one thing with one container for each request: what the platform itself does, without anything of Mooring. */
import { DurableObject } from "cloudflare:workers";
import type { BoxLook } from "./box-look.ts";

export interface ProbeEnv {
  readonly BOX: DurableObjectNamespace<Box>;
  readonly LOCAL_IMAGE: string;
}

export class Box extends DurableObject<ProbeEnv> {
  get #container(): Container {
    const { container } = this.ctx;
    if (container === undefined) throw new Error("This object has no container.");
    return container;
  }

  /** Each in the same turn. Answers what each came to. */
  start(all: readonly Partial<ContainerStartupOptions>[]): string[] {
    return all.map((one) => {
      try {
        const options = { enableInternet: false, image: this.env.LOCAL_IMAGE, ...one };
        this.#container.start(options as ContainerStartupOptions);
        return "started";
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    });
  }

  async exec(argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const process = await this.#container.exec(argv, { stdout: "pipe", stderr: "pipe" });
    const { exitCode, stdout, stderr } = await process.output();
    const text = new TextDecoder();
    return { code: exitCode, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  }

  async look(): Promise<BoxLook> {
    const inspected = await this.#container.inspect();
    const answer = await this.#container
      .getTcpPort(8080)
      .fetch("http://container/", { signal: AbortSignal.timeout(2_000) })
      .then((response) => response.text())
      .catch((error: unknown) => String(error));
    return {
      running: this.#container.running,
      inspected: inspected === null ? null : { labels: { ...inspected.labels } },
      port: answer,
    };
  }

  async destroy(): Promise<void> {
    await this.#container.destroy();
  }
}

const calls = ["start", "exec", "look", "destroy"] as const;

export default {
  async fetch(request: Request, env: ProbeEnv): Promise<Response> {
    const [, name = "", call] = new URL(request.url).pathname.split("/");
    if (!calls.includes(call as never)) return new Response("no such call", { status: 404 });
    const box = env.BOX.get(env.BOX.idFromName(name));
    try {
      const argument: never = await request.json();
      const answer: unknown = await box[call as (typeof calls)[number]](argument);
      return Response.json(answer ?? null);
    } catch (error) {
      return Response.json({ error: String(error) }, { status: 500 });
    }
  },
} satisfies ExportedHandler<ProbeEnv>;
