/** Whole lines from chunks of text. The sender may run as another user, so a line that never ends is not collected for ever. */
const maxLineBytes = 1_024 * 1_024;

export function boundedLines(
  take: (line: string) => void,
  refuse: () => void,
  maxBytes: number = maxLineBytes,
): (chunk: string) => void {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxBytes) {
      rest = "";
      return refuse();
    }
    for (const line of lines) {
      try {
        take(line);
      } catch {
        return refuse();
      }
    }
  };
}
