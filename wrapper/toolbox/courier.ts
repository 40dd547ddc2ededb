/**
 * Carries one workspace out of the container, or one into it, as a tar over HTTP, and ends. Nobody but the holder of the
 * order's secret gets or gives a byte, and every answer proves the same secret: a job that takes over the port is not
 * taken for the courier (PHY-17).
 *
 * It marks itself as a job of the instance through the environment it is started with: while it works, it is residue.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { chownSync, mkdirSync, rmSync } from "node:fs";
import { courierOrder, type CourierOrder, type CourierSum } from "../../src/protocol/toolbox.ts";
import { controllerToken, wrapperHeaders, wrapperProof } from "../../src/protocol/wrapper.ts";
import { startTar, type Tar } from "../host/archive.ts";

/** Which way the files go, seen from the container. */
export type Direction = "pack" | "unpack";

export async function courier(direction: Direction): Promise<CourierSum> {
  const order = courierOrder.parse(JSON.parse(await input()));
  const token = `Bearer ${await controllerToken(order.secret)}`;
  makeDirectory(order);
  const gaveUp = new AbortController();
  let patience: NodeJS.Timeout | undefined;
  const moved = (): void => {
    clearTimeout(patience);
    patience = setTimeout(() => gaveUp.abort(), order.patience_ms);
  };
  moved();
  const carrying = new Carrying(order, gaveUp.signal, moved);
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    const nonce = request.headers[wrapperHeaders.nonce];
    if (typeof nonce === "string") response.setHeader(wrapperHeaders.proof, await wrapperProof(order.secret, nonce));
    const asked = `${request.method} ${request.url}`;
    if (request.headers.authorization !== token) return void response.writeHead(401).end();
    if (asked === "GET /ready") return void response.writeHead(204).end();
    if (direction === "pack" && asked === "GET /archive") return carrying.out(response);
    if (direction === "unpack" && asked === "PUT /archive") return json(response, await carrying.in(request));
    if (direction === "pack" && asked === "GET /sum") return json(response, await carrying.sum);
    response.writeHead(404).end();
  }
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(process.env["MOORING_PORT"] ?? 0), process.env["MOORING_BIND"] ?? "127.0.0.1", resolve);
  });
  try {
    const sum = await carrying.sum;
    // The last answer is still on its way.
    await carrying.told(direction === "pack" ? order.patience_ms : 1_000);
    return sum;
  } finally {
    clearTimeout(patience);
    server.close();
    server.closeAllConnections();
  }

  function json(response: ServerResponse, body: CourierSum): void {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body), () => carrying.tell());
  }
}

/**
 * Given away before anything is in it: what an archive unpacks then, it unpacks with its owner's rights alone. What an earlier try
 * left may belong to another, and nothing ever ran in it.
 */
function makeDirectory({ directory, owner }: CourierOrder): void {
  if (owner !== undefined) rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, ...(owner === undefined ? {} : { mode: 0o700 }) });
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
}

class Carrying {
  /** Settles once: when all went through, or when it cannot any more. */
  readonly sum: Promise<CourierSum>;
  readonly #order: CourierOrder;
  readonly #signal: AbortSignal;
  readonly #moved: () => void;
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #taken = false;
  #settle: { done: (sum: CourierSum) => void; failed: (error: Error) => void } = { done: () => {}, failed: () => {} };
  #tell: () => void = () => {};
  readonly #told = new Promise<void>((resolve) => (this.#tell = resolve));

  constructor(order: CourierOrder, signal: AbortSignal, moved: () => void) {
    this.#order = order;
    this.#signal = signal;
    this.#moved = moved;
    this.sum = new Promise((done, failed) => (this.#settle = { done, failed }));
    this.sum.catch(() => {});
    signal.addEventListener("abort", () => this.#settle.failed(new Error("Nobody came, or nothing moved.")));
  }

  tell(): void {
    this.#tell();
  }

  told(ms: number): Promise<void> {
    return Promise.race([
      this.#told,
      new Promise<void>((resolve) => {
        setTimeout(resolve, ms).unref();
      }),
    ]);
  }

  async out(response: ServerResponse): Promise<void> {
    this.#takeOnce();
    const tar = startTar(
      [
        "--create",
        "--file=-",
        "--format=posix",
        "--sparse",
        "--numeric-owner",
        `--directory=${this.#order.directory}`,
        ".",
      ],
      this.#signal,
    );
    response.writeHead(200, { "content-type": "application/x-tar" });
    await this.#guarded(tar, async () => {
      for await (const chunk of tar.output) {
        this.#count(chunk);
        if (!response.write(chunk)) await drained(response);
      }
      await tar.ended;
      response.end();
    });
  }

  async in(request: IncomingMessage): Promise<CourierSum> {
    this.#takeOnce();
    const tar = startTar(
      ["--extract", "--file=-", "--same-permissions", "--numeric-owner", `--directory=${this.#order.directory}`],
      this.#signal,
      this.#order.owner,
    );
    await this.#guarded(tar, async () => {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        this.#count(chunk);
        if (tar.input.writable && !tar.input.write(chunk)) await Promise.race([drained(tar.input), tar.ended]);
      }
      if (!request.complete) throw new Error("The archive was cut off.");
      tar.input.end();
      await tar.ended;
    });
    return this.sum;
  }

  /** Twice would give, or make, half a workspace beside another. */
  #takeOnce(): void {
    if (this.#taken) throw new Error("It was carried already.");
    this.#taken = true;
  }

  #count(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
    this.#moved();
  }

  async #guarded(tar: Tar, carry: () => Promise<void>): Promise<void> {
    try {
      await carry();
      this.#settle.done({ bytes: this.#bytes, sha256: this.#hash.digest("hex") });
    } catch (error) {
      tar.child.kill("SIGKILL");
      this.#settle.failed(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }
}

function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("drain", resolve);
    stream.once("close", () => reject(new Error("The other side closed.")));
  });
}

async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
