/**
 * The user of agents' programs: `user` with `/home/user`, as E2B's programs expect it. An image that has the name keeps its number; one
 * without gets a line in /etc/passwd, with the first number from 1000 that nobody has.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface AgentUser {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const name = "user";
const firstNumber = 1_000;

export function ensureAgentUser(directory: string): AgentUser {
  const passwd = join(directory, "passwd");
  const users = linesOf(passwd);
  const own = users.find(([login]) => login === name);
  if (own !== undefined && Number(own[2]) > 0) {
    return { uid: Number(own[2]), gid: Number(own[3]), home: own[5] === "" ? `/home/${name}` : (own[5] ?? "") };
  }
  const groups = linesOf(join(directory, "group"));
  const taken = new Set([...users, ...groups].map((fields) => Number(fields[2])));
  let number = firstNumber;
  while (taken.has(number)) number += 1;
  const home = `/home/${name}`;
  try {
    appendFileSync(passwd, `${name}:x:${number}:${number}::${home}:/bin/sh\n`);
    appendFileSync(join(directory, "group"), `${name}:x:${number}:\n`);
  } catch {
    // A read-only system: the number works without a name.
  }
  return { uid: number, gid: number, home };
}

function linesOf(file: string): readonly (readonly string[])[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(":"));
  } catch {
    return [];
  }
}
