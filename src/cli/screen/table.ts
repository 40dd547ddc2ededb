/** A table for people: each column is as wide as its widest cell, and the last one is cut where the terminal ends. */
import { stripVTControlCharacters } from "node:util";

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Colours the padded cell. */
  readonly paint?: ((cell: string, row: Row) => string) | undefined;
}

/** `width`: of the terminal; null: not a terminal, so nothing is cut. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width: number | null): string {
  const cells = rows.map((row) => columns.map((column) => plain(column.text(row))));
  const widths = columns.map(({ title }, at) =>
    Math.max(title.length, ...cells.map((line) => widthOf(line[at] ?? ""))),
  );
  const lines = [
    columns
      .map(({ title }, at) => title.toUpperCase().padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  ];
  for (const [index, row] of rows.entries()) {
    let used = 0;
    const line = columns.map((column, at) => {
      const isLast = at === columns.length - 1;
      const room = width === null ? Infinity : Math.max(0, width - used);
      const full = cells[index]?.[at] ?? "";
      const text = isLast ? cut(full, room) : full + " ".repeat(Math.max(0, (widths[at] ?? 0) - widthOf(full)));
      used += (widths[at] ?? 0) + 2;
      return column.paint === undefined ? text : column.paint(text, row);
    });
    lines.push(line.join("  ").trimEnd());
  }
  return `${lines.join("\n")}\n`;
}

/**
 * Makes text that somebody else wrote (labels, reasons, errors) safe for a terminal: control characters are shown, not
 * obeyed. Otherwise a label could move the cursor or rename the window of whoever lists it.
 */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (c) =>
    c === "\n" || c === "\t" ? " " : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** How many columns of the terminal the text takes. Wide letters (CJK, emoji) take two. */
function widthOf(text: string): number {
  let width = 0;
  for (const letter of text)
    width += /[\u1100-\u115f\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]|\p{Emoji_Presentation}/u.test(letter)
      ? 2
      : 1;
  return width;
}

function cut(text: string, room: number): string {
  if (widthOf(text) <= room) return text;
  let kept = "";
  for (const letter of text) {
    if (widthOf(kept) + widthOf(letter) > room - 1) break;
    kept += letter;
  }
  return `${kept}…`;
}
