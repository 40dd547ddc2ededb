/**
 * `mooring api`: every operation of the API as a command, made from the contracts. A route that is added there becomes
 * a command by itself.
 */
import { readFileSync } from "node:fs";
import { Option, type Command } from "commander";
import type { Call } from "../../client/wire/transport.ts";
import type { OperationId } from "../../client/mooring.ts";
import type { Contract } from "../../protocol/contract.ts";
import { nativeContracts } from "../../protocol/contracts/native-contracts.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";
import { confirmed } from "../screen/confirm.ts";
import { kebab } from "../../client/wire/command-of.ts";
import { type ApiOption, jsonOf, optionsOf } from "./api-options.ts";
import { command, contextOf, type Shell, withSharedOptions } from "./command.ts";

/** These answer browsers with pages and files. They get no command. */
const notForPeople = new Set(["getRoot", "getDocs", "getDocsFile", "getDocsVendorFile"]);

export function apiCommand(shell: Shell): Command {
  const api = command("api", "Any operation of the API by its name, with JSON answers", [
    ["mooring api get-session ID", "one operation; --help after it shows its fields"],
    ["mooring api create-session --timeout-seconds 600 --labels team=web", "fields of the body are options"],
    ["mooring api create-session --body @order.json", "or the whole body, from a file or `-`"],
    ["mooring api list-all-sessions --status lost --limit 100", "parameters of the query are options too"],
  ]);
  for (const contract of nativeContracts as readonly Contract[]) {
    if (notForPeople.has(contract.operation)) continue;
    api.commandsGroup(`${contract.tag}:`);
    api.addCommand(leaf(shell, contract));
  }
  return api;
}

function leaf(shell: Shell, contract: Contract): Command {
  const { path, method, summary, description, access } = contract;
  const credential = { admin: "the admin token", tenant: "an API key", sandbox: "an API key", open: "no credential" }[
    access
  ];
  const made = command(kebab(contract.operation), summary);
  made.description(
    `${summary}\n\n${method} ${path}, with ${credential}.${description === undefined ? "" : `\n\n${description}`}`,
  );
  const segments = segmentsOf(path);
  for (const segment of segments) made.argument(`<${segment}>`, `the ${segment} in the path`);
  const options = optionsOf(contract);
  for (const { option } of options) made.addOption(option);
  const hasFields = contract.body !== undefined && contract.body !== "no fields";
  if (hasFields)
    made.addOption(new Option("--body <json>", "the whole body: JSON, @file, or - for stdin; options win over it"));
  if (endsSomething(contract)) made.addOption(new Option("-y, --yes", "do it without being asked"));
  withSharedOptionsBeside(made);
  return made.action(async (...given: unknown[]) => {
    const flags = given[segments.length] as Record<string, unknown>;
    const words = given.slice(0, segments.length) as string[];
    const parameters = Object.fromEntries(segments.map((segment, at) => [segment, words[at] ?? ""]));
    await call(shell, contract, options, parameters, flags);
  });
}

async function call(
  shell: Shell,
  contract: Contract,
  options: readonly ApiOption[],
  parameters: Readonly<Record<string, string>>,
  flags: Readonly<Record<string, unknown>>,
): Promise<void> {
  const context = contextOf(shell, flags);
  const of = (place: ApiOption["place"]) => {
    const given = options.filter((each) => each.place === place && flags[each.option.attributeName()] !== undefined);
    return Object.fromEntries(given.map((each) => [each.name, each.read(flags[each.option.attributeName()])]));
  };
  const body = bodyOf(contract, flags["body"] as string | undefined, of("body"));
  if (endsSomething(contract) && flags["yes"] !== true)
    await confirmed(context.screen, `${contract.summary}: ${contract.method} ${filled(contract.path, parameters)}`);
  const transport = context.transport(
    contract.access === "admin" ? "admin" : contract.access === "open" ? "open" : "tenant",
  );
  const accept = acceptOf(contract);
  const order = {
    operation: contract.operation as OperationId,
    parameters,
    query: of("query"),
    headers: { ...(of("header") as Record<string, string>), ...(accept === null ? {} : { accept }) },
    ...body,
    repeatable: contract.method === "GET",
  } as unknown as Call<OperationId>;
  const response = await transport.stream(order, { signal: context.signal });
  const isJson = response.headers.get("content-type")?.includes("json") === true;
  if (isJson) return context.screen.json(await response.json());
  for await (const bytes of response.body ?? []) process.stdout.write(bytes as Uint8Array);
}

function bodyOf(
  { body }: Contract,
  whole: string | undefined,
  fields: Readonly<Record<string, unknown>>,
): { readonly json?: unknown; readonly bytes?: Uint8Array } {
  if (body === undefined || body === "no fields") return {};
  if (typeof body === "string") return { bytes: whole === undefined ? new Uint8Array() : bytesOf(whole) };
  if (whole === undefined) return Object.keys(fields).length === 0 && !body.required ? {} : { json: fields };
  const given = jsonOf("--body", new TextDecoder().decode(bytesOf(whole)));
  return { json: { ...(given as object), ...fields } };
}

function bytesOf(whole: string): Uint8Array {
  if (whole !== "-" && !whole.startsWith("@")) return new TextEncoder().encode(whole);
  try {
    return readFileSync(whole === "-" ? 0 : whole.slice(1));
  } catch {
    throw new CliFault(exitCodes.usage, `--body: ${whole.slice(1) || "stdin"} could not be read.`);
  }
}

/** What to ask for: JSON if the operation has it, else bytes, else events. A terminal shows bytes as they are. */
function acceptOf({ answers }: Contract): string | null {
  const all = Object.values(answers);
  if (all.some(({ body }) => body !== undefined)) return null;
  const media = all.flatMap(({ media: each }) => Object.keys(each ?? {}));
  return media.find((each) => each === "application/octet-stream") ?? media[0] ?? null;
}

function segmentsOf(path: string): readonly string[] {
  return [...path.matchAll(/:([a-z]+)/g)].map(([, name = ""]) => name);
}

function filled(path: string, parameters: Readonly<Record<string, string>>): string {
  return path.replace(/:([a-z]+)/g, (_, name: string) => parameters[name] ?? "");
}

/** These operations end a sandbox, or record an operator's word that it is gone. */
const endings: ReadonlySet<string> = new Set([
  "rebuildSession",
  "resolveSession",
  "assertLostSession",
  "resolveContainer",
] satisfies OperationId[]);

/** Whether the operation ends or deletes something, in one session or in many. */
function endsSomething({ method, tag, operation }: Contract): boolean {
  return (
    endings.has(operation) ||
    method === "DELETE" ||
    (tag === "Cleanup and audits" && method === "POST" && operation !== "planAudit")
  );
}

/** A field of the API wins over a shared option of the same name: `url` of a webhook over `--url`. */
function withSharedOptionsBeside(made: Command): void {
  const taken = new Set(made.options.map(({ long }) => long));
  const shared = withSharedOptions(command("shared", ""), []);
  made.optionsGroup("Everywhere:");
  for (const option of shared.options) if (!taken.has(option.long)) made.addOption(option);
}
