/** Server-sent events as a browser reads them, for tests. Comments are dropped. */

export interface SseMessage {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: string;
}

export function parseSse(text: string): readonly SseMessage[] {
  return text
    .split("\n\n")
    .map((block) => block.split("\n").filter((line) => line !== "" && !line.startsWith(":")))
    .filter((lines) => lines.length > 0)
    .map((lines) => ({
      event: field(lines, "event") ?? "message",
      id: field(lines, "id"),
      data: lines
        .filter((line) => line.startsWith("data: "))
        .map((line) => line.slice("data: ".length))
        .join("\n"),
    }));
}

function field(lines: readonly string[], name: string): string | undefined {
  return lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
}
