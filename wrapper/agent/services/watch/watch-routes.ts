/** `GET /files/watch`: changes of a directory as server-sent events. */
import type { FileChange, WatchEnd } from "../../../../src/protocol/resources/sandbox/files.ts";
import { EventStream } from "../event-stream.ts";
import type { Exchange, ServiceRoute } from "../exchange.ts";
import { entryOf } from "../files/entries.ts";
import { FilePath, resolvePath, type BaseDirectories } from "../files/paths.ts";
import type { Change } from "./directory-watch.ts";
import { WaitingChanges } from "./waiting-changes.ts";

export function watchRoutes(base: BaseDirectories): readonly ServiceRoute[] {
  return [
    {
      method: "GET",
      path: /^\/files\/watch$/,
      handle: async (exchange) => {
        const { query, gone } = exchange;
        const root = resolvePath(query.bytes("path") ?? Buffer.from(base.workspace), base);
        const withEntry = query.flag("entry");
        const waiting = new WaitingChanges(root, query.flag("recursive"));
        gone.addEventListener("abort", () => waiting.close());
        try {
          await follow(exchange, waiting, withEntry);
        } finally {
          waiting.close();
        }
      },
    },
  ];
}

async function follow(exchange: Exchange, waiting: WaitingChanges, withEntry: boolean): Promise<void> {
  const { gone } = exchange;
  const stream = new EventStream(exchange);
  await stream.send("ready", {});
  while (!gone.aborted) {
    const { changes, overflow } = waiting.take();
    if (overflow) await stream.send("overflow", {});
    for (const change of changes) {
      const told = await described(change, withEntry);
      await stream.send(told.kind, told);
    }
    if (waiting.ended !== null && changes.length === 0) break;
    await waiting.some();
  }
  if (gone.aborted) return;
  const end: WatchEnd = { reason: waiting.ended?.failure == null ? "removed" : "too_many_directories" };
  await stream.send("end", end);
  stream.end();
}

async function described({ kind, relative, path }: Change, withEntry: boolean): Promise<FileChange> {
  const name = new FilePath(relative);
  const raw = name.rawText;
  const isThere = kind !== "removed" && kind !== "renamed";
  const entry = withEntry && isThere ? await entryOf(path).catch(() => null) : null;
  return {
    kind,
    name: name.text,
    ...(raw === undefined ? {} : { raw_name: raw }),
    ...(entry === null ? {} : { entry }),
  };
}
