/**
 * Finds the server of this sandbox on a port, and refuses every other one: on the local host and in a shared container the loopback
 * belongs to all, and a request with this sandbox's pass must never reach a neighbour, the host, or this agent itself.
 */
import { markers } from "../../../src/protocol/sandbox/markers.ts";
import type { WrapperBoot } from "../../../src/protocol/sandbox/wrapper.ts";
import { readSocketsAs } from "../../proc/foreign-environments.ts";
import { membersNow } from "../../proc/claimed-processes.ts";
import type { Claim } from "../../proc/membership.ts";
import { allListeners, holdsOneOf, type Listener, listenersOn, socketsOf } from "../../proc/listeners.ts";
import type { ProcessRow } from "../../proc/process-table.ts";
import type { TakeLook } from "../../proc/shared-look.ts";

export interface OwnListenersDependencies {
  readonly boot: Pick<WrapperBoot, "instance_id" | "job_user">;
  /** It has its container for itself: whatever listens there is this sandbox's, unless it is this process. */
  readonly alone: boolean;
  readonly look: TakeLook;
}

export interface OwnPort {
  readonly port: number;
  readonly pid: number;
  readonly program: string;
}

/** Inodes of sockets that were found to be this sandbox's; the oldest go first. */
const inodesKept = 256;

export class OwnListeners {
  readonly #dependencies: OwnListenersDependencies;
  readonly #own = new Set<string>();

  constructor(dependencies: OwnListenersDependencies) {
    this.#dependencies = dependencies;
  }

  /** null: no process of this sandbox listens there. */
  async find(port: number): Promise<Listener | null> {
    const listeners = listenersOn(port);
    const known = listeners.find(({ inode }) => this.#own.has(inode));
    if (known !== undefined) return known;
    for (const listener of listeners) {
      if (!(await this.#isOwn(listener.inode, listener.uid))) continue;
      this.#own.add(listener.inode);
      const [oldest] = this.#own;
      if (this.#own.size > inodesKept && oldest !== undefined) this.#own.delete(oldest);
      return listener;
    }
    return null;
  }

  /** Every port on which a process of this sandbox listens now, each once, by number. null: the look failed. */
  async list(): Promise<readonly OwnPort[] | null> {
    const listeners = allListeners();
    const members = await this.#members();
    if (members === null) return null;
    const holders = new Map<string, ProcessRow>();
    const hidden: ProcessRow[] = [];
    for (const member of members) {
      const inodes = sockets(member.pid);
      if (inodes === null) hidden.push(member);
      for (const inode of inodes ?? []) holders.set(inode, member);
    }
    for (const [member, inodes] of this.#asTheirUser(hidden)) for (const inode of inodes) holders.set(inode, member);
    const ports = new Map<number, OwnPort>();
    for (const { port, inode } of listeners) {
      const holder = holders.get(inode);
      if (holder !== undefined && !ports.has(port)) ports.set(port, { port, pid: holder.pid, program: holder.name });
    }
    return [...ports.values()].sort((one, other) => one.port - other.port);
  }

  /** A root without the right to look into other users' processes asks a helper of the jobs' user. */
  #asTheirUser(members: readonly ProcessRow[]): readonly (readonly [ProcessRow, readonly string[]])[] {
    const { job_user: user } = this.#dependencies.boot;
    if (user === undefined || members.length === 0) return [];
    try {
      const read = readSocketsAs(
        user,
        members.map(({ pid }) => pid),
      );
      return members.map((member) => [member, read.get(member.pid) ?? []]);
    } catch {
      // Nothing is known of them, so their ports are not listed.
      return [];
    }
  }

  /** In a container of its own every process but this one and what started it is the sandbox's. */
  async #members(): Promise<readonly ProcessRow[] | null> {
    const { alone, look } = this.#dependencies;
    if (!alone) return membersNow({ look, claim: () => this.#claim() });
    const seen = await look();
    return seen === null ? null : seen.table.filter(({ pid }) => pid !== process.pid && pid !== process.ppid);
  }

  #claim(): Claim {
    const { boot } = this.#dependencies;
    return {
      entries: [`${markers.instance}=${boot.instance_id}`, `${markers.role}=job`],
      leaders: [],
      except: [process.pid, process.ppid],
      user: boot.job_user?.uid ?? null,
    };
  }

  async #isOwn(inode: string, uid: number): Promise<boolean> {
    const { boot, alone, look } = this.#dependencies;
    const inodes = new Set([inode]);
    if (holdsOneOf(process.pid, inodes)) return false;
    if (alone || uid === boot.job_user?.uid) return true;
    const members = await membersNow({ look, claim: () => this.#claim() });
    // A look that failed proves nothing, so the port stays closed.
    return members?.some(({ pid }) => isHeldBy(pid, inodes)) ?? false;
  }
}

/** null: it may not be read. */
function sockets(pid: number): readonly string[] | null {
  try {
    return socketsOf(pid);
  } catch {
    return null;
  }
}

function isHeldBy(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return holdsOneOf(pid, inodes);
  } catch {
    return false;
  }
}
