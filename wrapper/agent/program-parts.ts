/**
 * The parts of the program that the guardian does not need. They lie at the end of its one file, in a comment, each a line of compressed
 * text (scripts/builds/build-wrapper.ts): Node would otherwise read all of it at the start of every process, and keep what it learned.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";
import { inflateRawSync } from "node:zlib";
import type * as agentRoles from "./agent-roles.ts";

/** In front of the line of a part. */
const partMark = "mooring-part";

export function sourceOf(part: "agent" | "services"): Buffer {
  const [, script] = process.argv;
  if (script === undefined)
    throw new Error("this process was started without a script path, so it cannot read the parts of its own program");
  const program = readFileSync(script, "latin1");
  const mark = `${partMark}-${part} `;
  // The last one: the first may be the line above.
  const start = program.lastIndexOf(mark) + mark.length;
  return inflateRawSync(Buffer.from(program.slice(start, program.indexOf("\n", start)), "base64"));
}

type Agent = typeof agentRoles;

export function loadAgent(): Agent {
  const [, script = "/"] = process.argv;
  const text = `(function (require, module) {${sourceOf("agent").toString("latin1")}\n})`;
  const run = new Script(text, { filename: "mooring-agent.js" }).runInThisContext() as (
    require: NodeJS.Require,
    module: { exports: Agent },
  ) => void;
  const module = { exports: {} as Agent };
  run(createRequire(script), module);
  return module.exports;
}
