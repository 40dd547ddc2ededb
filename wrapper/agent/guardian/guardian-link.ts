/**
 * What the wrapper tells its guardian, one JSON line each on descriptor 3. Only this way round: the guardian says
 * nothing to the wrapper but by living (the wrapper's stdin stays open) and by SIGTERM.
 */
import { Socket } from "node:net";
import type { ProcessIdentity } from "../../proc/process-table.ts";

const linkDescriptor = 3;

export type WrapperNews =
  | { readonly type: "ready"; readonly port: number }
  /** The fence has moved: on the steady clock, ms. */
  | { readonly type: "deadline"; readonly at: number }
  /** It is ending its jobs and itself, and will be gone by then. */
  | { readonly type: "ending"; readonly by: number }
  | { readonly type: "jobStarted"; readonly leader: ProcessIdentity }
  | { readonly type: "jobEnded"; readonly leader: ProcessIdentity };

export type TellGuardian = (news: WrapperNews) => void;

/** What a frozen guardian has not read; beyond it news is dropped, and the older, earlier deadline stands. */
const maxUnreadBytes = 64 * 1_024;

/** Each message goes to the kernel at once (libuv tries first): SIGKILL loses nothing that was told. */
export function openGuardianLink(): TellGuardian {
  const socket = new Socket({ fd: linkDescriptor, readable: false, writable: true });
  // A guardian that is gone shows at the end of stdin, not here.
  socket.on("error", () => {});
  socket.unref();
  return (news) => {
    if (socket.writableLength < maxUnreadBytes) socket.write(`${JSON.stringify(news)}\n`);
  };
}

/** Feeds chunks, yields whole messages. The sender is our own code; what does not parse is a bug and throws. */
export function newsReader(take: (news: WrapperNews) => void): (chunk: string) => void {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(JSON.parse(line) as WrapperNews);
  };
}
