/** The events of a stream of a service, one by one. */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { IncomingMessage } from "node:http";

export interface ServiceEvent {
  readonly name: string;
  readonly id: number | null;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Throws when the stream breaks off. */
export async function* eventsOf(answer: IncomingMessage): AsyncGenerator<ServiceEvent> {
  const waiting: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => waiting.push(event) });
  const decoder = new TextDecoder();
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    for (const event of waiting.splice(0)) {
      const id = event.id === undefined ? null : Number(event.id);
      yield { name: event.event ?? "message", id, data: JSON.parse(event.data) as Record<string, unknown> };
    }
  }
  if (!answer.complete) throw new Error("The stream broke off.");
}

export interface Outcome {
  readonly pid: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly terminal: Buffer;
  readonly gaps: readonly unknown[];
  readonly exit: Readonly<Record<string, unknown>> | null;
}

/** All of a process's output, to its end. */
export async function outcomeOf(events: AsyncIterable<ServiceEvent>): Promise<Outcome> {
  const streams: Record<string, Buffer[]> = { stdout: [], stderr: [], terminal: [] };
  const gaps: unknown[] = [];
  let pid = 0;
  let exit: Outcome["exit"] = null;
  for await (const { name, data } of events) {
    if (name === "start") pid = Number(data["pid"]);
    else if (name === "gap") gaps.push(data);
    else if (name === "exit") exit = data;
    else streams[name]?.push(bytesOf(data));
  }
  const all = (name: string): Buffer => Buffer.concat(streams[name] ?? []);
  return { pid, stdout: all("stdout"), stderr: all("stderr"), terminal: all("terminal"), gaps, exit };
}

export function bytesOf(data: ServiceEvent["data"]): Buffer {
  return typeof data["text"] === "string"
    ? Buffer.from(data["text"])
    : Buffer.from((data["base64"] as string | undefined) ?? "", "base64");
}
