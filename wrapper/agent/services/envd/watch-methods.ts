/** E2B's watching of directories: as a stream, and as a watcher that is asked for what has happened (its Python client). */
import { statfsSync } from "node:fs";
import { z } from "zod";
import type { ServiceRoute } from "../exchange.ts";
import { FilePath } from "../files/paths.ts";
import { fileFailure } from "../service-failure.ts";
import type { Change } from "../watch/directory-watch.ts";
import { PolledWatches } from "../watch/polled-watches.ts";
import { WaitingChanges } from "../watch/waiting-changes.ts";
import { checkCaller } from "./caller.ts";
import type { E2bPaths } from "./e2b-paths.ts";
import type { EntryInfos } from "./entry-info.ts";
import { refuseNoDirectory } from "./filesystem-methods.ts";
import { RpcFailure, type Sending, serverStream, timeoutOf, unary } from "./rpc.ts";

const flag = z.boolean().nullish();
const order = z.object({
  path: z.string(),
  recursive: flag,
  includeEntry: flag,
  include_entry: flag,
  allowNetworkMounts: flag,
  allow_network_mounts: flag,
});
type Order = z.infer<typeof order>;
const watcherName = z.object({ watcherId: z.string().nullish(), watcher_id: z.string().nullish() });

const types: Readonly<Record<Change["kind"], string>> = {
  created: "EVENT_TYPE_CREATE",
  modified: "EVENT_TYPE_WRITE",
  removed: "EVENT_TYPE_REMOVE",
  renamed: "EVENT_TYPE_RENAME",
  attributes: "EVENT_TYPE_CHMOD",
};

interface Watcher {
  readonly waiting: WaitingChanges;
  readonly includesEntry: boolean;
}

export function watchMethods(paths: E2bPaths, infos: EntryInfos): readonly ServiceRoute[] {
  const watchers = new PolledWatches<Watcher>();
  return [
    serverStream("filesystem.Filesystem/WatchDir", order, { keepalive: {} }, async (message, sending, exchange) => {
      checkCaller(exchange.request.headers.authorization);
      const root = await rootOf(message, paths);
      const waiting = new WaitingChanges(root, message.recursive === true);
      const over = { timedOut: false };
      const timeoutMs = timeoutOf(exchange);
      const end = (): void => {
        over.timedOut = true;
        waiting.close();
      };
      const timer = timeoutMs === null ? undefined : setTimeout(end, timeoutMs);
      sending.gone.addEventListener("abort", () => waiting.close());
      try {
        // Only now: a client acts as soon as it hears this.
        sending.message({ start: {} });
        await follow(waiting, includesEntry(message) ? infos : null, sending);
      } finally {
        clearTimeout(timer);
        waiting.close();
      }
      if (over.timedOut) throw new RpcFailure("deadline_exceeded", "The watch was over at the end of its timeout.");
    }),
    unary("filesystem.Filesystem/CreateWatcher", order, async (message, exchange) => {
      checkCaller(exchange.request.headers.authorization);
      const waiting = new WaitingChanges(await rootOf(message, paths), message.recursive === true);
      return { watcherId: watchers.add({ waiting, includesEntry: includesEntry(message) }) };
    }),
    unary("filesystem.Filesystem/GetWatcherEvents", watcherName, async (message) => {
      const { waiting, includesEntry: withEntry } = found(watchers, message);
      // A client that has just written something expects to find it here.
      await waiting.settled();
      const changes = taken(waiting);
      return { events: await Promise.all(changes.map((change) => shown(change, withEntry ? infos : null))) };
    }),
    unary("filesystem.Filesystem/RemoveWatcher", watcherName, (message) => {
      found(watchers, message);
      watchers.remove(idOf(message));
      return {};
    }),
  ];
}

/** Until the client or the directory is gone, or the watch fails. */
async function follow(waiting: WaitingChanges, infos: EntryInfos | null, sending: Sending): Promise<void> {
  while (!sending.gone.aborted) {
    for (const change of taken(waiting))
      if (!sending.message({ filesystem: await shown(change, infos) })) await sending.drained();
    if (waiting.ended !== null) return;
    await waiting.some();
  }
}

/** This protocol has no word for a gap, so a client that was too slow is told by an error. */
function taken(waiting: WaitingChanges): readonly Change[] {
  const { changes, overflow } = waiting.take();
  if (overflow)
    throw new RpcFailure(
      "resource_exhausted",
      "More changed than could wait to be read. Look at the directory and watch again.",
    );
  if (changes.length === 0 && waiting.ended?.failure != null) throw waiting.ended.failure;
  return changes;
}

function found(watchers: PolledWatches<Watcher>, message: z.infer<typeof watcherName>): Watcher {
  const watcher = watchers.get(idOf(message));
  if (watcher === null) throw new RpcFailure("not_found", `watcher with id ${idOf(message)} not found`);
  return watcher;
}

function idOf({ watcherId, watcher_id: older }: z.infer<typeof watcherName>): string {
  return watcherId ?? older ?? "";
}

function includesEntry({ includeEntry, include_entry: older }: Order): boolean {
  return (includeEntry ?? older) === true;
}

/** By what statfs(2) calls them: NFS, SMB of two generations, CIFS and FUSE tell of no change that another machine made. */
const remoteTypes: ReadonlySet<number> = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546]);

async function rootOf(message: Order, paths: E2bPaths): Promise<FilePath> {
  const root = paths.resolve(Buffer.from(message.path));
  await refuseNoDirectory(root);
  const allowsRemote = (message.allowNetworkMounts ?? message.allow_network_mounts) === true;
  if (!allowsRemote && isRemote(root))
    throw new RpcFailure(
      "invalid_argument",
      `cannot watch path on network filesystem: ${root.text}. Set allowNetworkMounts to see the changes that this sandbox makes.`,
    );
  return root;
}

function isRemote(root: FilePath): boolean {
  try {
    return remoteTypes.has(statfsSync(root.bytes).type);
  } catch (error) {
    throw fileFailure(error, root.text);
  }
}

async function shown({ kind, relative, path }: Change, infos: EntryInfos | null): Promise<object> {
  const has = infos !== null && kind !== "removed" && kind !== "renamed";
  const entry = has ? await infos.one(path).catch(() => null) : null;
  return { name: new FilePath(relative).text, type: types[kind], ...(entry === null ? {} : { entry }) };
}
