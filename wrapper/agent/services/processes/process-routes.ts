/** The routes of processes. */
import {
  resizeTerminal,
  signalProcess,
  startProcess,
  type ProcessOutput,
} from "../../../../src/protocol/resources/sandbox/processes.ts";
import { answerJson, readJson, type Exchange, type ServiceRoute } from "../exchange.ts";
import { ServiceFailure } from "../service-failure.ts";
import type { ClientProcess } from "./client-process.ts";
import type { ClientProcesses } from "./client-processes.ts";
import { EventStream } from "../event-stream.ts";
import type { Piece } from "./output-ring.ts";

const maxGraceMs = 60_000;
const graceMs = 2_000;
/** A larger event would make a client wait for all of it. */
const maxPieceBytes = 32_768;

export function processRoutes(processes: ClientProcesses): readonly ServiceRoute[] {
  const one = (handle: (found: ClientProcess, exchange: Exchange) => void | Promise<void>) => (exchange: Exchange) =>
    handle(processes.get(exchange.parameters[0] ?? ""), exchange);
  return [
    { method: "POST", path: /^\/processes$/, handle: (exchange) => start(processes, exchange) },
    { method: "GET", path: /^\/processes$/, handle: (exchange) => list(processes, exchange) },
    {
      method: "GET",
      path: /^\/processes\/(\d{1,10})$/,
      handle: one((found, exchange) => answerJson(exchange, 200, found.view())),
    },
    { method: "DELETE", path: /^\/processes\/(\d{1,10})$/, handle: one(end) },
    { method: "GET", path: /^\/processes\/(\d{1,10})\/output$/, handle: one(follow) },
    { method: "POST", path: /^\/processes\/(\d{1,10})\/stdin$/, handle: one(writeStdin) },
    { method: "POST", path: /^\/processes\/(\d{1,10})\/signal$/, handle: one(signal) },
    { method: "POST", path: /^\/processes\/(\d{1,10})\/resize$/, handle: one(resize) },
  ];
}

async function start(processes: ClientProcesses, exchange: Exchange): Promise<void> {
  const withOutput = exchange.query.flag("output");
  const order = await readJson(exchange, startProcess);
  const started = await processes.start(order);
  if (!withOutput) return answerJson(exchange, 201, started.view());
  await send(started, exchange, 0, 201);
}

function list(processes: ClientProcesses, exchange: Exchange): void {
  const withEnded = exchange.query.flag("ended");
  const data = processes
    .all()
    .filter((each) => withEnded || each.running)
    .map((each) => each.view());
  answerJson(exchange, 200, { data });
}

async function end(found: ClientProcess, exchange: Exchange): Promise<void> {
  const seconds = exchange.query.whole("grace_seconds", 0, maxGraceMs / 1_000);
  await found.end(seconds === null ? graceMs : seconds * 1_000);
  answerJson(exchange, 200, found.view());
}

async function follow(found: ClientProcess, exchange: Exchange): Promise<void> {
  const { query, request } = exchange;
  const last = request.headers["last-event-id"];
  const resumed = typeof last === "string" && /^\d{1,15}$/.test(last) ? Number(last) : null;
  const offset =
    resumed ?? query.whole("offset", 0, Number.MAX_SAFE_INTEGER) ?? startOf(found, query.whole("tail", 0, 1_048_576));
  if (offset > found.output.totalBytes)
    throw new ServiceFailure("range_not_satisfiable", `Its output has ${found.output.totalBytes} bytes.`, {
      size: found.output.totalBytes,
    });
  await send(found, exchange, offset, 200);
}

function startOf({ output }: ClientProcess, tail: number | null): number {
  return tail === null ? 0 : Math.max(output.firstOffset, output.totalBytes - tail);
}

/** Ends with how the process ended. A stream that ends without that broke off. */
async function send(found: ClientProcess, exchange: Exchange, offset: number, status: number): Promise<void> {
  const stream = new EventStream(exchange, status);
  await stream.send("start", found.view());
  for await (const part of found.output.follow(offset, exchange.gone)) {
    if (part.type === "gap") await stream.send("gap", { from: part.from, to: part.to }, part.to);
    else
      for (const piece of cut(part))
        await stream.send(piece.stream, outputOf(piece), piece.offset + piece.bytes.length);
  }
  if (exchange.gone.aborted) return;
  await found.ended;
  await stream.send("exit", found.exit());
  stream.end();
}

function* cut(piece: Piece): Generator<Piece> {
  for (let at = 0; at < piece.bytes.length; at += maxPieceBytes)
    yield { ...piece, offset: piece.offset + at, bytes: piece.bytes.subarray(at, at + maxPieceBytes) };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text where it reads as such: a control character takes six bytes in JSON, and base64 a third more than the bytes. */
function outputOf({ offset, bytes }: Piece): ProcessOutput {
  try {
    const text = decoder.decode(bytes);
    if (JSON.stringify(text).length <= (bytes.length * 3) / 2 + 16) return { offset, text };
  } catch {
    // Not UTF-8.
  }
  return { offset, base64: bytes.toString("base64") };
}

async function writeStdin(found: ClientProcess, exchange: Exchange): Promise<void> {
  for await (const chunk of exchange.request as AsyncIterable<Buffer>) await found.write(chunk);
  if (exchange.query.flag("end")) found.closeStdin();
  answerJson(exchange, 200, {});
}

async function signal(found: ClientProcess, exchange: Exchange): Promise<void> {
  const { signal: name, group = false } = await readJson(exchange, signalProcess);
  found.signal(name, group);
  answerJson(exchange, 200, {});
}

async function resize(found: ClientProcess, exchange: Exchange): Promise<void> {
  found.resize(await readJson(exchange, resizeTerminal));
  answerJson(exchange, 200, {});
}
