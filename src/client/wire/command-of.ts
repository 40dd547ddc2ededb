/** A call that `explain` or `attention` names, as the command of `mooring` that makes it: the same line in the console and in the terminal. */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { operationAt } from "./operations.ts";

type NextCall = NonNullable<AnswerOf<"explainSession">["next_call"]>;
type NamedCall = Pick<NextCall, "method" | "path" | "body">;

/** Calls that have a command of their own. The rest goes through `mooring api`. */
const own: Readonly<Record<string, (body: NextCall["body"], id: string) => string>> = {
  deleteSession: (_, id) => `mooring end ${id}`,
  endSession: (body, id) => `mooring end ${id}${body === null ? "" : ` --reason ${quoted(text(body["reason"]))}`}`,
  rebuildSession: (_, id) => `mooring rebuild ${id}`,
  explainSession: (_, id) => `mooring why ${id}`,
  explainAnySession: (_, id) => `mooring why ${id}`,
  planAudit: () => "mooring audit plan",
  drain: (body) =>
    `mooring drain ${body?.["draining"] === true ? "on" : "off"} --reason ${quoted(text(body?.["reason"]))}`,
  resolveSession: (body, id) =>
    `mooring resolve ${id} --action ${text(body?.["action"])} --reason ${quoted(text(body?.["reason"]))}`,
};

export function commandOf({ method, path, body }: NamedCall, subject: string): string {
  const found = operationAt(method, path);
  if (found === null) return `${method} ${path}`;
  const special = own[found.operation];
  if (special !== undefined) return special(body, subject);
  const query = new URLSearchParams(path.split("?")[1]);
  const options = [...query, ...Object.entries(body ?? {})].map(
    ([name, value]) => `--${kebab(name)} ${quoted(String(value))}`,
  );
  return ["mooring api", kebab(found.operation), ...found.given, ...options].join(" ");
}

/** `createSession` and `idle_timeout_seconds` as they stand on a command line. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll("_", "-");
}

function text(value: string | number | boolean | undefined): string {
  return value === undefined ? "" : String(value);
}

/** As one word of a shell. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_./:=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
