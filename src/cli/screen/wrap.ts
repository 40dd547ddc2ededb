/** Prose for a terminal: broken between words, and indented below its first line. */

/**
 * `width` null: not a terminal, so the text stays one line. `used`: columns taken before the first line; `indent`:
 * spaces before each further line. A word that is longer than a line stays whole.
 */
export function wrapped(text: string, width: number | null, used: number, indent = used): string {
  if (width === null) return text;
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const room = width - (lines.length === 0 ? used : indent);
    if (line === "") line = word;
    else if (line.length + 1 + word.length <= room) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}
