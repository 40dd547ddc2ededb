/**
 * A Worker that does one thing with one container for each request: what the platform itself does, without anything of Mooring. Used by
 * `npm run probe:account` on an account, and by the container tests on this machine.
 */
import { DurableObject } from "cloudflare:workers";
import type { BoxLook, BoxTiming } from "./box-look.ts";

export interface ProbeEnv {
  readonly BOX: DurableObjectNamespace<Box>;
  /** For starts that name no image. */
  readonly LOCAL_IMAGE: string;
  /** Who calls must show it; absent on a developer's machine. */
  readonly PROBE_TOKEN?: string;
}

const shortestHoldMs = 1_000;

export class Box extends DurableObject<ProbeEnv> {
  constructor(ctx: DurableObjectState, env: ProbeEnv) {
    super(ctx, env);
    const until = ctx.storage.kv.get<number>("until");
    // As Mooring's own object does it: what was granted is applied again, and nothing is added by being looked at.
    if (until !== undefined && ctx.container?.running === true)
      void ctx.container.setInactivityTimeout(Math.max(shortestHoldMs, until - Date.now())).catch(() => {});
  }

  get #container(): Container {
    const { container } = this.ctx;
    if (container === undefined) throw new Error("This object has no container.");
    return container;
  }

  /** Each in the same turn. Answers what each came to. */
  start(all: readonly Partial<ContainerStartupOptions>[]): string[] {
    return all.map((one) => {
      try {
        const image = one.containerSnapshot === undefined ? { image: this.env.LOCAL_IMAGE } : {};
        const options = { enableInternet: false, ...image, ...one };
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

  /** From the start to the end of a first command. */
  async time(options: Partial<ContainerStartupOptions>): Promise<BoxTiming> {
    const began = Date.now();
    const [came = ""] = this.start([options]);
    if (came !== "started") return { came, ms: 0 };
    try {
      await this.exec(["true"]);
      return { came, ms: Date.now() - began };
    } catch (error) {
      return { came: error instanceof Error ? error.message : String(error), ms: Date.now() - began };
    }
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

  /** One look each `everyMs`, without asking a port. Answers `running/inspected` of each. */
  async watch({ times, everyMs }: { readonly times: number; readonly everyMs: number }): Promise<string[]> {
    const seen: string[] = [];
    for (let at = 0; at < times; at += 1) {
      const inspected = await this.#container.inspect();
      seen.push(`${this.#container.running ? "running" : "not running"}, ${inspected === null ? "null" : "inspected"}`);
      await scheduler.wait(everyMs);
    }
    return seen;
  }

  async signal(number: number): Promise<void> {
    this.#container.signal(number);
  }

  /** What `start({containerSnapshot})` takes afterwards. */
  async snapshot(name: string): Promise<{ id: string; size: number }> {
    const { id, size } = await this.#container.snapshotContainer({ name });
    return { id, size };
  }

  /** Until then, by the platform's own hold; applied again whenever this object is built anew. */
  async hold(ms: number): Promise<void> {
    this.ctx.storage.kv.put("until", Date.now() + ms);
    await this.#container.setInactivityTimeout(ms);
  }

  /** The next call meets an object that was built anew. This one fails. */
  async restart(): Promise<void> {
    this.ctx.abort("asked for");
  }

  async destroy(): Promise<void> {
    await this.#container.destroy();
  }
}

const calls = ["start", "exec", "time", "look", "watch", "signal", "snapshot", "hold", "restart", "destroy"] as const;

export default {
  async fetch(request: Request, env: ProbeEnv): Promise<Response> {
    const [, name = "", call] = new URL(request.url).pathname.split("/");
    if (env.PROBE_TOKEN !== undefined && request.headers.get("authorization") !== `Bearer ${env.PROBE_TOKEN}`)
      return new Response("a token is needed", { status: 401 });
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
