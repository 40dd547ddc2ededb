/**
 * Where a command writes. Answers go to stdout, everything else (progress, hints, errors) to stderr, so that a pipe gets the
 * answer alone. `json` and `quiet` are the caller's choice of form: one JSON document, or ids only.
 */
import { type Colours, coloursFor } from "./colours.ts";
import { type Column, plain, table } from "./table.ts";

export interface Form {
  readonly json: boolean;
  readonly quiet: boolean;
}

export class Screen {
  readonly form: Form;
  readonly colours: Colours;
  /** Colours for stderr, which may be a terminal when stdout is not. */
  readonly notes: Colours;

  constructor(form: Form, env: Readonly<Record<string, string | undefined>>) {
    this.form = form;
    this.colours = coloursFor(process.stdout.isTTY === true, env);
    this.notes = coloursFor(process.stderr.isTTY === true, env);
  }

  /** Whether a person can be asked, and can see a line that is refreshed. */
  get isLive(): boolean {
    return process.stdin.isTTY === true && process.stderr.isTTY === true;
  }

  get width(): number | null {
    return process.stdout.isTTY === true ? (process.stdout.columns ?? 80) : null;
  }

  out(text: string): void {
    process.stdout.write(text);
  }

  line(text = ""): void {
    process.stdout.write(`${text}\n`);
  }

  /** A note on stderr; nothing when only ids or JSON were asked for. */
  note(text: string): void {
    if (!this.form.quiet && !this.form.json) process.stderr.write(`${text}\n`);
  }

  json(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value, null, process.stdout.isTTY === true ? 2 : 0)}\n`);
  }

  /** Prints rows in the form that was asked for. For an empty table `empty` goes to stderr. */
  rows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], idOf: (row: Row) => string, empty: string): void {
    if (this.form.json) return this.json(rows);
    if (this.form.quiet) return this.out(rows.map((row) => `${idOf(row)}\n`).join(""));
    if (rows.length === 0) return this.note(empty);
    this.out(table(rows, columns, this.width));
  }

  /** Prints one `name value` pair per line. */
  facts(facts: readonly (readonly [string, string])[]): void {
    const width = Math.max(0, ...facts.map(([name]) => name.length));
    for (const [name, text] of facts) this.line(`${this.colours.dim(name.padEnd(width))}  ${text}`);
  }

  /** Text that somebody else wrote, with control characters made harmless. */
  plain(text: string): string {
    return plain(text);
  }

  status(status: string): string {
    const { good, bad, warn, dim } = this.colours;
    if (status === "running") return good(status);
    if (status === "failed" || status === "lost") return bad(status);
    if (status === "terminated") return dim(status);
    return status === "paused" ? status : warn(status);
  }
}
