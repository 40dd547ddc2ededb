/**
 * A socket in front of the container engine for wrangler alone. It passes every byte on, and holds starts of containers back:
 * few at once, and a sidecar's start is answered only when the sidecar listens.
 *
 * workerd asks a sidecar within some two seconds after the engine's answer and gives the container up when nobody listens. When twenty
 * start at once on two cores, each takes longer than that, and all of them are given up together. One after another they come up. Those
 * that would come up after their launch was given up are refused unstarted: they would only take time from the others.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";

export interface StartQueue {
  /** For DOCKER_HOST. */
  readonly host: string;
  close(): Promise<void>;
}

/** On two cores: some wait for the engine while the programs of others start. */
const startsAtOnce = 4;
/** How long a sidecar may wait for its turn. Its container and agent start after it, and the whole launch has a minute. */
const longestWaitMs = 30_000;
/** A sidecar that does not listen by then never will. Its start is answered all the same, and workerd gives it up. */
const listenMs = 15_000;
const pollMs = 50;
const knockMs = 1_000;
const unixPrefix = "unix://";

/**
 * `engine`: as in DOCKER_HOST. Only one behind a unix socket gets a queue. null: none.
 *
 * It passes bytes in a thread of its own: whoever opened it may run `docker` and wait for it without a turn of its own thread, and
 * `docker` would wait for the queue.
 */
export async function openStartQueue(engine: string): Promise<StartQueue | null> {
  if (!engine.startsWith(unixPrefix)) return null;
  const directory = mkdtempSync(join(tmpdir(), "mooring-queue-"));
  const order: QueueOrder = {
    engineSocket: engine.slice(unixPrefix.length),
    socketFile: join(directory, "engine.sock"),
  };
  // None of the caller's flags: a test runner's are not for this thread.
  const thread = new Worker(join(import.meta.dirname, "start-queue-thread.ts"), { workerData: order, execArgv: [] });
  await once(thread, "message");
  thread.unref();
  return {
    host: `${unixPrefix}${order.socketFile}`,
    close: async () => {
      await thread.terminate();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface QueueOrder {
  readonly engineSocket: string;
  readonly socketFile: string;
}

/** Listens at `socketFile` in the calling thread. */
export function serveQueue({ engineSocket, socketFile }: QueueOrder): Server {
  const turns = new Turns(startsAtOnce);
  // Half open: the end of one direction is the end of a program's input, and its output still comes.
  return createServer({ allowHalfOpen: true }, (client) => pass(client, engineSocket, turns)).listen(socketFile);
}

function pass(client: Socket, engineSocket: string, turns: Turns): void {
  const engine = connect({ path: engineSocket, allowHalfOpen: true });
  /** The start whose answer has not come yet. */
  let starting: { readonly name: string; readonly release: () => void } | null = null;
  const up = new Transform({
    transform: (chunk: Buffer, _, done) => {
      const name = startedBy(chunk);
      if (name === null) return done(null, chunk);
      void turns.take(name).then((release) => {
        if (release === null) return void client.end(refused);
        if (engine.destroyed) release();
        else starting = { name, release };
        done(null, chunk);
      });
    },
  });
  const down = new Transform({
    transform: (chunk: Buffer, _, done) => {
      if (starting === null) return done(null, chunk);
      const { name, release } = starting;
      starting = null;
      void untilListening(engineSocket, name).finally(() => {
        release();
        done(null, chunk);
      });
    },
  });
  client.pipe(up).pipe(engine);
  engine.pipe(down).pipe(client);
  for (const [one, other] of [
    [client, engine],
    [engine, client],
  ] as const) {
    one.on("error", () => other.destroy());
    one.once("close", () => {
      starting?.release();
      other.destroy();
    });
  }
}

const why = JSON.stringify({ message: "Too many containers start at once on this machine." });
const refused = `HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${why.length}\r\n\r\n${why}`;

/** A request's head comes in one piece, and nobody sends a second request before the answer to the first. */
const startRequest = /^POST (?:\/v[\d.]+)?\/containers\/([^/? ]+)\/start(?:\?[^ ]*)? HTTP\/1/;

/** The container that the request starts; null: another request, or a part of one. */
function startedBy(chunk: Buffer): string | null {
  return startRequest.exec(chunk.toString("latin1", 0, 512))?.[1] ?? null;
}

interface Inspected {
  readonly NetworkSettings?: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>;
  };
}

/** Returns at once when it is no sidecar, or has no port. Never rejects. */
async function untilListening(engineSocket: string, name: string): Promise<void> {
  if (!isSidecar(name)) return;
  const found = (await asked({ socketPath: engineSocket, path: `/containers/${name}/json` })) as Inspected | null;
  const port = Number(Object.values(found?.NetworkSettings?.Ports ?? {})[0]?.[0]?.HostPort);
  const until = Date.now() + listenMs;
  // Any answer will do. A port that only the engine listens at has none.
  while (port > 0 && Date.now() < until && (await asked({ host: "127.0.0.1", port, path: "/" })) === null) {
    await pause(pollMs);
  }
}

/** What the server answered, read as JSON if it is JSON; null: it did not answer. */
function asked(where: {
  readonly path: string;
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
}) {
  return new Promise<unknown>((resolve) => {
    const asking = request({ ...where, timeout: knockMs, agent: false }, (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (part: string) => (text += part));
      reply.once("end", () => resolve(parsed(text)));
      reply.once("error", () => resolve(null));
    });
    asking.once("timeout", () => asking.destroy());
    asking.once("error", () => resolve(null));
    asking.end();
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** At most `free` turns at once. Containers before sidecars: a pair that has begun must not wait for all that come after it. */
class Turns {
  #free: number;
  readonly #containers: Waiting[] = [];
  readonly #sidecars: Waiting[] = [];

  constructor(free: number) {
    this.#free = free;
  }

  /** What ends the turn; null: it is a sidecar and has waited too long. */
  take(name: string): Promise<(() => void) | null> {
    const release = onlyOnce(() => this.#next());
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(release);
    }
    const since = Date.now();
    return new Promise((resolve) => {
      (isSidecar(name) ? this.#sidecars : this.#containers).push({
        since,
        go: () => resolve(release),
        refuse: () => resolve(null),
      });
    });
  }

  #next(): void {
    while (this.#sidecars[0] !== undefined && Date.now() - this.#sidecars[0].since > longestWaitMs) {
      this.#sidecars.shift()?.refuse();
    }
    const next = this.#containers.shift() ?? this.#sidecars.shift();
    if (next === undefined) this.#free += 1;
    else next.go();
  }
}

interface Waiting {
  /** Epoch, ms. */
  readonly since: number;
  readonly go: () => void;
  readonly refuse: () => void;
}

function onlyOnce(task: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    task();
  };
}

function isSidecar(name: string): boolean {
  return name.endsWith("-proxy");
}
