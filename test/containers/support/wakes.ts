/** The lines that counted-worker.ts writes, read again. */
export const wakeMark = "mooring-wake ";

export interface Wake {
  readonly object: "session" | "container";
  /** `constructor`, the name of a method, or method and path of a request to the agent. */
  readonly what: string;
}

export function wakesIn(log: string): readonly Wake[] {
  return log.split("\n").flatMap((line) => {
    const at = line.indexOf(wakeMark);
    return at < 0 ? [] : [JSON.parse(line.slice(at + wakeMark.length)) as Wake];
  });
}
