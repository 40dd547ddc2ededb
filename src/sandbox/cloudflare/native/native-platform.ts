/**
 * `ContainerPlatform` over the container of a Durable Object with `scheduling_policy = "durable_object"`. Calls are
 * passed through: no bound, no retry, no judgement, because those are the fence's.
 *
 * Only `start` starts a container here; `exec` and ports never do.
 */
import type { Clock } from "../../../runtime/clock-ids-logger.ts";
import { wrapperPort } from "../../../protocol/sandbox/toolbox.ts";
import {
  type CommandResult,
  type ContainerPlatform,
  type Digest,
  type FenceStorage,
  type Inspected,
  type ListedProcess,
  type NativeCalls,
  noContainer,
  type SnapshotBucket,
  type StartOrder,
  type StreamedProcess,
} from "../platform/container-platform.ts";
import { digestStream } from "../platform/digest-stream.ts";
import { defaultTemplate } from "../../../domain/state/template.ts";
import type { ContainerNetwork } from "../network/container-network.ts";
import type { AgentBundle } from "./agent-bundle.ts";
import { entrypoint, startEnvironment, startLabels } from "./entrypoint.ts";

type ContainerSize = string | { readonly vcpu: number; readonly memoryMib: number; readonly diskMb: number };

/**
 * `image`: as `start` takes it, or a name below `[containers.images]`; null: the image that the platform restores from
 * its snapshot.
 */
interface ContainerTemplate {
  readonly image: string | null;
  readonly snapshot: string | null;
  /** null: the platform's default size. */
  readonly instance: ContainerSize | null;
}

export interface NativeTerms {
  /**
   * The templates that a container may start from, by the names that launches use. `defaultTemplate` is one of them.
   */
  readonly templates: Readonly<Record<string, ContainerTemplate>>;
  /** PID 1 ends the container if no order came within this time. */
  readonly orderWithinSeconds: number;
  /** The longest hold that the platform accepts, ms. */
  readonly longestHoldMs: number;
}

/** Added to the hold that the fence granted, so that the platform's end does not come a moment too early. */
const alarmSlackMs = 1_000;
const shortestHoldMs = 1_000;
const handOverPollMs = 50;
/** How much of a program's standard error is kept. */
const maxErrorBytes = 4_096;

export interface NativeDependencies {
  readonly ctx: DurableObjectState;
  readonly storage: FenceStorage;
  readonly bucket: SnapshotBucket | null;
  readonly terms: NativeTerms;
  readonly bundle: () => Promise<AgentBundle>;
  /** Throws unless an armed launch is at the step that starts the container. */
  readonly refuseToStart: () => void;
  readonly network: Pick<ContainerNetwork, "register" | "opensInternet">;
  readonly clock: Clock;
}

export class NativePlatform implements ContainerPlatform {
  readonly objectId: string;
  readonly storage: FenceStorage;
  readonly bucket: SnapshotBucket | null;
  readonly native: NativeCalls;
  readonly #dependencies: NativeDependencies;
  readonly #container: Container;

  constructor(dependencies: NativeDependencies) {
    const { ctx, storage, bucket } = dependencies;
    if (ctx.container === undefined) throw noContainer("AgentContainer");
    this.#dependencies = dependencies;
    this.#container = ctx.container;
    this.objectId = ctx.id.toString();
    this.storage = storage;
    this.bucket = bucket;
    this.native = {
      inspect: () => this.#inspect(),
      handOver: (order, signal) => this.#handOver(order, signal),
      signal: (number) => this.#container.signal(number),
      output: (argv) => this.#output(argv),
      input: (argv, stream) => this.#input(argv, stream),
      startOver: () => ctx.abort("The platform is asked again whether the container runs."),
    };
  }

  running(): boolean {
    return this.#container.running;
  }

  /** Returns before the container exists. Whether it came up shows when the loader answers. */
  async start(_timeoutMs: number, _signal: AbortSignal, order: StartOrder): Promise<void> {
    const { terms, bundle, refuseToStart, network } = this.#dependencies;
    const template = terms.templates[order.template ?? defaultTemplate];
    if (template === undefined)
      throw new Error(
        `This deployment has no template "${order.template ?? defaultTemplate}" any more, so nothing was started. TEMPLATES in wrangler.toml lists them.`,
      );
    const { digest } = await bundle();
    // Registered before anything runs: a container without its rules would be open.
    await network.register();
    const marks = { ...order, launch: `${order.instanceId}-${order.starts}` };
    // Nothing else runs in this object from here to the end, so exactly one start wins, and none that was called off
    // meanwhile.
    refuseToStart();
    this.#container.start({
      ...this.#origin(template),
      ...(template.instance === null ? {} : { instance: template.instance as never }),
      enableInternet: network.opensInternet,
      entrypoint: entrypoint({ digest, orderWithinSeconds: terms.orderWithinSeconds }),
      env: startEnvironment(marks),
      labels: startLabels(marks),
    });
  }

  #origin({ image, snapshot }: ContainerTemplate) {
    if (snapshot !== null) return { containerSnapshot: { id: snapshot } as never };
    if (image === null)
      throw new Error(
        "The template names neither an image nor a snapshot, so nothing was started. Mend it in TEMPLATES.",
      );
    const images = this.#container.images as Readonly<Record<string, string>> | undefined;
    return { image: images?.[image] ?? image };
  }

  async exec(command: string, _timeoutMs: number): Promise<CommandResult> {
    const env = { PATH: startPath };
    const process = await this.#container.exec(["/bin/sh", "-c", command], {
      cwd: "/",
      env,
      stdout: "pipe",
      stderr: "pipe",
    });
    const { exitCode, stdout, stderr } = await process.output();
    const text = new TextDecoder();
    return { exitCode, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  }

  async startProcess(): Promise<void> {
    throw new Error("This platform hands the agent to the loader. It starts no process and writes no file.");
  }

  async listProcesses(): Promise<readonly ListedProcess[]> {
    return [];
  }

  async writeFile(): Promise<void> {
    throw new Error("This platform hands the agent to the loader. It starts no process and writes no file.");
  }

  connect(port: number, path: string, init: RequestInit): Promise<Response> {
    return this.#container.getTcpPort(port).fetch(`http://container${path}`, init);
  }

  /** The platform's hold ends when this object leaves memory; the alarm stays. */
  renewActivity(until: number): void {
    const { clock, terms } = this.#dependencies;
    const holdMs = Math.min(Math.max(until - clock.now(), shortestHoldMs), terms.longestHoldMs);
    void this.storage.setAlarm(until + alarmSlackMs);
    if (this.running()) void this.#container.setInactivityTimeout(holdMs).catch(() => {});
  }

  sdkDestroy(): Promise<void> {
    return this.containerDestroy();
  }

  containerDestroy(): Promise<void> {
    return this.#container.destroy();
  }

  digest(): Digest {
    return digestStream();
  }

  async #inspect(): Promise<Inspected | null> {
    const seen = await this.#container.inspect();
    if (seen === null) return null;
    return { instanceId: (seen.labels as Readonly<Record<string, string>> | undefined)?.["instance"] ?? null };
  }

  async #handOver(order: string, signal: AbortSignal): Promise<void> {
    const { bundle, clock } = this.#dependencies;
    const { bytes } = await bundle();
    const head = new TextEncoder().encode(order);
    const body = new Uint8Array(head.byteLength + bytes.byteLength);
    body.set(head);
    body.set(bytes, head.byteLength);
    const headers = { "mooring-order-bytes": String(head.byteLength) };
    for (;;) {
      try {
        const reply = await this.connect(wrapperPort, "/agent", { method: "PUT", headers, body, signal });
        await reply.arrayBuffer();
        // 409: a repeat. 401: the agent itself answers already. Only 403 is a loader with another bundle.
        if (reply.status === 403)
          throw new Error(
            "The container was started for another version of the agent and refused this one. The next start takes the newer version.",
          );
        return;
      } catch (error) {
        const isNotUp =
          error instanceof Error && /not listening to port|ingress proxy is not running/i.test(error.message);
        if (!isNotUp || signal.aborted) throw error;
        if (!this.running())
          throw new Error(
            "The container failed to start: it ended before it took the agent. An image needs a shell as /bin/sh and Node on its PATH.",
            {
              cause: error,
            },
          );
        await clock.sleep(handOverPollMs, signal);
      }
    }
  }

  async #output(argv: readonly string[]): Promise<StreamedProcess> {
    const process = await this.#container.exec([...argv], {
      cwd: "/",
      env: { PATH: startPath },
      stdout: "pipe",
      stderr: "pipe",
    });
    const { stdout } = process;
    if (stdout === null) throw new Error(`${argv[0]} was started without its output, so it cannot be read.`);
    const ended = endOf(process, argv);
    // The reader of the stream asks for `ended` only afterwards, so a rejection before that must not count as
    // unhandled.
    ended.catch(() => {});
    return { stream: stdout as ReadableStream<Uint8Array>, ended, kill: () => process.kill(9) };
  }

  async #input(argv: readonly string[], stream: ReadableStream<Uint8Array>): Promise<void> {
    const options = { cwd: "/", env: { PATH: startPath }, stdin: stream, stdout: "ignore", stderr: "pipe" } as const;
    const process = await this.#container.exec([...argv], options);
    await endOf(process, argv);
  }
}

const startPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** `exitCode` does not resolve while piped output is unread, so standard error is read to its end first. */
async function endOf(process: ExecProcess, argv: readonly string[]): Promise<void> {
  const said = process.stderr === null ? "" : await readSome(process.stderr as ReadableStream<Uint8Array>);
  const code = await process.exitCode;
  if (code !== 0) throw new Error(`${argv[0]} ended with ${code}: ${said.trim().split("\n").at(-1) ?? ""}`);
}

async function readSome(stream: ReadableStream<Uint8Array>): Promise<string> {
  const text = new TextDecoder();
  let said = "";
  for await (const chunk of stream) if (said.length < maxErrorBytes) said += text.decode(chunk, { stream: true });
  return said;
}
