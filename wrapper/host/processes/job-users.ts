/**
 * The users that jobs run as, one for each sandbox. They keep sandboxes apart from each other and from the host, and they
 * tell the owner of every process, however it hides.
 *
 * A sandbox has its user until its directory is gone, and nobody else gets that user while a process still runs as it. Users
 * are given out in turn, so that each rests for long: files that one sandbox left in /tmp would belong to the next one.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { changeOwner } from "../../agent/user/change-owner.ts";
import { isRoot, whyClosed, whyNoJobUser } from "../../agent/user/job-user.ts";
import { readTable, readUser } from "../../proc/process-table.ts";
import { isFull } from "../../proc/errno.ts";
import type { Records } from "../records/records.ts";
import { Refusal } from "../refusal.ts";
import type { Aim, Owner } from "./residue.ts";
import type { StateDirectory } from "../records/state-directory.ts";

export interface JobUserRange {
  readonly first: number;
  readonly last: number;
}

const largestId = 2_147_483_647;

/** Reads `FIRST-LAST`; null: the text is no range. */
export function parseJobUserRange(text: string): JobUserRange | null {
  const [, from, to] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? [];
  const range = { first: Number(from), last: Number(to) };
  return range.first >= 1 && range.first <= range.last && range.last <= largestId ? range : null;
}

/** Names a user in the range who can log in; null: there is none. Jobs could read that user's files, and stops would end its processes. */
export function personIn({ first, last }: JobUserRange, passwd: string): string | null {
  const people = passwd.split("\n").flatMap((line) => {
    const [name, , uid, , , , shell = ""] = line.split(":");
    const canLogIn = !/(^|\/)(nologin|false)$/.test(shell);
    return name !== undefined && canLogIn && Number(uid) >= first && Number(uid) <= last ? [`${name} (${uid})`] : [];
  });
  return people[0] ?? null;
}

/** Throws when jobs cannot run as these users here. The option is refused, never ignored. */
export function proveJobUsers(range: JobUserRange, state: StateDirectory, wrapperFile: string): void {
  const why = (reason: string): Error => new Error(`--job-uids ${range.first}-${range.last}: ${reason}.`);
  state.letThrough();
  if (!isRoot()) throw why("only root can start jobs as another user. Run the host as root, or leave the option out");
  const person = personIn(range, readFileSync("/etc/passwd", "utf8"));
  if (person !== null) throw why(`${person} in /etc/passwd can log in. Choose numbers that nobody has`);
  if (!readFileSync(wrapperFile, "utf8").includes("job_user"))
    throw why(`${wrapperFile} is of a release that runs jobs as itself. Build it again`);
  const user = { uid: range.last, gid: range.last };
  const probe = join(state.path, "probe-of-job-users");
  try {
    mkdirSync(probe, { recursive: true, mode: 0o700 });
  } catch (error) {
    // The host must start on a full disk too: it may have sandboxes to end, and it refuses launches anyway.
    if (!isFull(error)) throw error;
    const reason = whyNoJobUser(user);
    if (reason !== null) throw why(reason);
    return;
  }
  try {
    changeOwner(probe, user);
    const reason = whyNoJobUser(user) ?? whyClosed(user, probe);
    if (reason !== null) throw why(reason);
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}

export class JobUsers {
  readonly #range: JobUserRange | null;
  readonly #records: Records;
  readonly #isGone: (sandboxId: string) => boolean;
  /** By sandbox id. */
  readonly #given = new Map<string, number>();
  #next = 0;

  /** `range` null: new jobs run as the host does. Sandboxes that got a user before a restart keep it. */
  constructor(range: JobUserRange | null, records: Records, isGone: (sandboxId: string) => boolean) {
    this.#range = range;
    this.#records = records;
    this.#isGone = isGone;
  }

  /** A sandbox keeps the user that it got before a restart, even one outside of the range. */
  load(): void {
    for (const { sandboxId, armed } of this.#records.all())
      if (armed?.jobUid != null && !this.#isGone(sandboxId)) this.#given.set(sandboxId, armed.jobUid);
  }

  /** The user of a sandbox, the same one while its directory exists or it is being launched. null: users are not given out. */
  of(sandboxId: string): number | null {
    if (this.#range === null) return null;
    const known = this.#given.get(sandboxId);
    if (known !== undefined) return known;
    for (const given of this.#given.keys()) if (this.#isGone(given)) this.#given.delete(given);
    const { first, last } = this.#range;
    const taken = new Set([...this.#given.values(), ...readTable().map(({ pid }) => readUser(pid))]);
    const count = last - first + 1;
    for (let tried = 0; tried < count; tried += 1) {
      const user = first + ((this.#next + tried) % count);
      if (taken.has(user)) continue;
      this.#next = user - first + 1;
      this.#given.set(sandboxId, user);
      return user;
    }
    throw new Refusal("launch_failed", `All ${count} users for jobs are in use (--job-uids ${first}-${last}).`);
  }

  /** The jobs of that generation have a user of their own, so none of them can hide. */
  has(sandboxId: string, { session, generation }: Aim): boolean {
    const owner = this.#owners().get(this.#given.get(sandboxId) ?? 0);
    return owner?.session === session && owner.generation === generation;
  }

  /** Every process that runs as one of these users, with its owner. */
  members(): readonly { readonly pid: number; readonly owner: Owner }[] {
    const owners = this.#owners();
    if (owners.size === 0) return [];
    return readTable().flatMap(({ pid }) => {
      const owner = owners.get(readUser(pid) ?? 0);
      return owner === undefined ? [] : [{ pid, owner }];
    });
  }

  #owners(): ReadonlyMap<number, Owner> {
    const owners = new Map<number, Owner>();
    for (const [sandboxId, user] of this.#given) {
      const record = this.#records.get(sandboxId);
      if (record?.armed == null || record.sessionId === null) continue;
      const { instanceId: instance, generation } = record.armed;
      owners.set(user, { session: record.sessionId, instance, generation });
    }
    return owners;
  }
}
