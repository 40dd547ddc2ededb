/** Every process and terminal that clients started here: limits, what each is started with, what is known of the ended ones. */
import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { markers } from "../../../../src/protocol/sandbox/markers.ts";
import { jobMarker } from "../../../proc/marked-environment.ts";
import { resolvePath, type BaseDirectories } from "../files/paths.ts";
import { ServiceFailure } from "../service-failure.ts";
import type { ServiceNews } from "../service-link.ts";
import { ClientProcess } from "./client-process.ts";
import type { ProcessOrder, ProcessPlan } from "./start-program.ts";
import { PipeShelf } from "./pipe-shelf.ts";
import { errnoOf } from "../../../proc/errno.ts";

const maxRunning = 128;
const maxEnded = 64;
/** A client that lost its connection may still learn how its process ended. */
const rememberMs = 600_000;
const lookEveryMs = 30_000;

/** In the environment of each process and of all that it starts. */
const processMarker = "MOORING_PROCESS_ID";

export class ClientProcesses {
  readonly #base: BaseDirectories;
  readonly #tell: (news: ServiceNews) => void;
  readonly #processes = new Map<number, ClientProcess>();
  readonly #user = ownName();
  #starting = 0;
  #shelf: PipeShelf | null | undefined;
  #told = 0;

  constructor(base: BaseDirectories, tell: (news: ServiceNews) => void) {
    this.#base = base;
    this.#tell = tell;
    setInterval(() => this.look(), lookEveryMs).unref();
  }

  all(): readonly ClientProcess[] {
    return [...this.#processes.values()];
  }

  get(pid: string): ClientProcess {
    const found = this.#processes.get(Number(pid));
    if (found !== undefined) return found;
    throw new ServiceFailure("not_found", `No process with pid ${pid} was started here, or it ended a while ago.`);
  }

  /** `base`: variables under those of the order. They are not shown with the process. */
  async start(order: ProcessOrder, base: Readonly<Record<string, string>> = {}): Promise<ClientProcess> {
    const running = this.all().filter((each) => each.running).length + this.#starting;
    if (running >= maxRunning)
      throw new ServiceFailure(
        "too_many",
        `At most ${maxRunning} processes and terminals run at once. End some of them.`,
      );
    this.#starting += 1;
    try {
      const plan = await this.#planOf(order, base);
      const started = await ClientProcess.start(plan, this.#pipes());
      this.#processes.set(started.pid, started);
      const { leader } = started;
      if (leader !== null) this.#tell({ type: "started", leader });
      void started.ended.then(() => {
        if (leader !== null) this.#tell({ type: "ended", leader });
        this.look();
      });
      return started;
    } finally {
      this.#starting -= 1;
      this.look();
    }
  }

  removePipes(): void {
    this.#shelf?.remove();
  }

  /** null: this image has no `mkfifo`, or no place for temporary files. Sockets then. */
  #pipes(): PipeShelf | null {
    if (this.#shelf === undefined) {
      try {
        this.#shelf = new PipeShelf();
      } catch {
        this.#shelf = null;
      }
    }
    return this.#shelf;
  }

  async #planOf(order: ProcessOrder, base: Readonly<Record<string, string>>): Promise<ProcessPlan> {
    if ((order.argv === undefined) === (order.command === undefined))
      throw new ServiceFailure("invalid", "Give exactly one of argv (a program) and command (a line for the shell).");
    const argv = order.argv ?? ["/bin/sh", "-c", order.command ?? ""];
    const values = Object.entries(order.env ?? {});
    if (argv[0] === "") throw new ServiceFailure("invalid", "argv: its first entry, the program, is empty.");
    if ([...argv, ...values.map(([, value]) => value)].some((each) => each.includes("\0")))
      throw new ServiceFailure(
        "invalid",
        "argv, command or env holds a NUL character, which no process can be given. Leave it out.",
      );
    if (values.some(([name]) => name.startsWith("MOORING_")))
      throw new ServiceFailure("invalid", "env: names that begin with MOORING_ are the sandbox's own.");
    const { user = this.#user.name } = order;
    if (user !== this.#user.name && user !== String(this.#user.uid))
      throw new ServiceFailure(
        "user_unavailable",
        `Everything in this sandbox runs as ${JSON.stringify(this.#user.name)}; nothing can run as ${JSON.stringify(user)}.`,
      );
    const id = randomUUID();
    const environment: Record<string, string> = {};
    for (const [name, value] of Object.entries(process.env)) if (value !== undefined) environment[name] = value;
    delete environment["NODE_OPTIONS"];
    delete environment["NODE_CHANNEL_FD"];
    if (order.terminal !== undefined) environment["TERM"] = "xterm-256color";
    const cwd = await this.#directory(order.cwd);
    // A shell shows its directory by the name that was asked for, also where that is a link.
    environment["PWD"] = cwd;
    Object.assign(environment, base, order.env, ours(), { [processMarker]: id });
    return {
      order,
      argv,
      cwd,
      environment,
      entry: `${processMarker}=${id}`,
      user: this.#user.name,
    };
  }

  async #directory(given: string | undefined): Promise<string> {
    const path = resolvePath(Buffer.from(given ?? this.#base.workspace), this.#base, "cwd").text;
    const named = JSON.stringify(given ?? path);
    try {
      if ((await stat(path)).isDirectory()) return path;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") throw new ServiceFailure("not_found", `cwd ${named} does not exist.`, { path });
      throw new ServiceFailure("permission_denied", `cwd ${named} cannot be used (${errnoOf(error)}).`, { path });
    }
    throw new ServiceFailure("not_a_directory", `cwd ${named} is not a directory.`, { path });
  }

  /** Forgets what ended long ago and reports how much works. Called at each start and end, and when a client comes to a terminal or leaves it. */
  look(): void {
    const now = Date.now();
    const ended = this.all().filter((each) => each.endedAt !== null);
    for (const [index, each] of ended.entries()) {
      if (each.output.readers > 0) continue;
      if (index < ended.length - maxEnded || now - (each.endedAt ?? now) > rememberMs) this.#forget(each);
    }
    const work = this.#starting + this.all().filter((each) => each.isWork).length;
    if (work === this.#told) return;
    this.#told = work;
    this.#tell({ type: "active", processes: work });
  }

  #forget(each: ClientProcess): void {
    // Its number may have been given to another one.
    if (this.#processes.get(each.pid) === each) this.#processes.delete(each.pid);
  }
}

/** What a client must not change: by it the processes of this sandbox are found. */
function ours(): Record<string, string> {
  const names = [...Object.values(markers), jobMarker];
  return Object.fromEntries(names.map((name) => [name, process.env[name] ?? ""]));
}

function ownName(): { readonly name: string; readonly uid: number } {
  const uid = process.getuid?.() ?? 0;
  try {
    return { name: process.env["USER"] ?? userInfo().username, uid };
  } catch {
    return { name: String(uid), uid };
  }
}
