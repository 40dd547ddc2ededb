/**
 * Carries one workspace out of the container, or into it, as a tar over HTTP, and ends. Only the holder of the order's
 * secret may send or receive. Every answer proves that secret, so that a job that takes the port is not mistaken for the
 * transfer.
 *
 * Its environment marks it as a job of the instance, so that it counts as residue while it works.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { chownSync, mkdirSync, rmSync } from "node:fs";
import { archiveOrder, type ArchiveOrder, type ArchiveSum } from "../../src/protocol/sandbox/toolbox.ts";
import { controllerToken, wrapperHeaders, wrapperProof } from "../../src/protocol/sandbox/wrapper.ts";
import { startTar, type Tar } from "../host/disk/archive.ts";

/** The direction, seen from the container. */
export type Direction = "pack" | "unpack";

export async function transferArchive(direction: Direction): Promise<ArchiveSum> {
  const order = archiveOrder.parse(JSON.parse(await input()));
  const token = `Bearer ${await controllerToken(order.secret)}`;
  makeDirectory(order);
  const gaveUp = new AbortController();
  let patience: NodeJS.Timeout | undefined;
  const moved = (): void => {
    clearTimeout(patience);
    patience = setTimeout(() => gaveUp.abort(), order.patience_ms);
  };
  moved();
  const transfer = new Transfer(order, gaveUp.signal, moved);
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    const nonce = request.headers[wrapperHeaders.nonce];
    if (typeof nonce === "string") response.setHeader(wrapperHeaders.proof, await wrapperProof(order.secret, nonce));
    const asked = `${request.method} ${request.url}`;
    if (request.headers.authorization !== token) return void response.writeHead(401).end();
    // Never 204: the container runtime reuses a connection whose answer had no body, and then tears it down.
    if (asked === "GET /ready") return void response.writeHead(200).end("ready");
    // The caller gave up, and the next transfer needs the port.
    if (asked === "DELETE /archive") return void response.end("ended", () => transfer.giveUp());
    if (direction === "pack" && asked === "GET /archive") return transfer.out(response);
    if (direction === "unpack" && asked === "PUT /archive") return json(response, await transfer.in(request));
    if (direction === "pack" && asked === "GET /sum") return json(response, await transfer.sum);
    response.writeHead(404).end();
  }
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(process.env["MOORING_PORT"] ?? 0), process.env["MOORING_BIND"] ?? "127.0.0.1", resolve);
  });
  try {
    const sum = await transfer.sum;
    // Give the last answer time to arrive.
    await transfer.told(direction === "pack" ? order.patience_ms : 1_000);
    return sum;
  } finally {
    clearTimeout(patience);
    server.close();
    server.closeAllConnections();
  }

  function json(response: ServerResponse, body: ArchiveSum): void {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body), () => transfer.tell());
  }
}

/**
 * Gives the empty directory to its owner, so that unpacking has no more rights than that user. An earlier try may have left
 * files of another user; nothing ever ran there, so they are removed.
 */
function makeDirectory({ directory, owner }: ArchiveOrder): void {
  if (owner !== undefined) rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, ...(owner === undefined ? {} : { mode: 0o700 }) });
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
}

class Transfer {
  /** Settles once: when everything was carried, or when that has failed. */
  readonly sum: Promise<ArchiveSum>;
  readonly #order: ArchiveOrder;
  readonly #signal: AbortSignal;
  readonly #moved: () => void;
  readonly #gaveUp = new AbortController();
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #taken = false;
  #settle: { done: (sum: ArchiveSum) => void; failed: (error: Error) => void } = { done: () => {}, failed: () => {} };
  #tell: () => void = () => {};
  readonly #told = new Promise<void>((resolve) => (this.#tell = resolve));

  constructor(order: ArchiveOrder, signal: AbortSignal, moved: () => void) {
    this.#order = order;
    this.#signal = AbortSignal.any([signal, this.#gaveUp.signal]);
    this.#moved = moved;
    this.sum = new Promise((done, failed) => (this.#settle = { done, failed }));
    this.sum.catch(() => {});
    signal.addEventListener("abort", () => this.#settle.failed(new Error("No caller came, or no bytes moved.")));
  }

  tell(): void {
    this.#tell();
  }

  giveUp(): void {
    this.#gaveUp.abort();
    this.#settle.failed(new Error("The caller gave up."));
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
    response.once("close", () => {
      if (!response.writableFinished) this.giveUp();
    });
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

  async in(request: IncomingMessage): Promise<ArchiveSum> {
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

  /** A second transfer would give, or make, half a workspace. */
  #takeOnce(): void {
    if (this.#taken) throw new Error("The workspace was carried already.");
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
    // A stream that closed before says so to nobody any more.
    if ("destroyed" in stream && stream.destroyed === true) return reject(new Error("The other side closed."));
    stream.once("drain", resolve);
    stream.once("close", () => reject(new Error("The other side closed.")));
  });
}

async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
