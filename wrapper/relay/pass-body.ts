/**
 * Passes a body on as it comes, in pieces that are worth a write.
 *
 * A sender's pieces may be small: workerd sends 8 kB at a time, each framed as a chunk. Passed on one by one, each costs a write here,
 * and a read, a parse and a write at every hop behind. So what one look at the sockets brought goes on as one piece, through blocks
 * that are used again. Nothing waits for more to come: what is there at the end of that look is sent.
 */
import type { Readable, Writable } from "node:stream";
import { spentBuffer } from "./spent-buffers.ts";

/** Twice what Node reads from a socket at a time. */
const blockBytes = 131_072;
/** For all bodies together: what a slow reader holds is not kept beyond it. */
const maxFree = 4;
const free: Buffer[] = [];

/** `passed` judges each piece; false: it does not go on, and nothing behind it does. */
export function passBody(from: Readable, to: Writable, passed: (piece: Buffer) => boolean): void {
  /** What came since the last write. A block as soon as it is more than one piece. */
  let waiting: Buffer | null = null;
  let block: Buffer | null = null;
  let bytes = 0;
  let scheduled = false;
  const write = (piece: Buffer, over?: () => void): void => {
    // The reader is slow: the sender waits for it.
    if (!to.destroyed && !to.write(piece, over)) from.pause();
  };
  const send = (): void => {
    const [piece, used] = [waiting, block];
    waiting = null;
    block = null;
    if (piece === null) return;
    if (used === null) return write(piece);
    write(used.subarray(0, bytes), () => {
      if (free.length < maxFree) free.push(used);
    });
  };
  const keep = (piece: Buffer): void => {
    if (waiting === null) {
      waiting = piece;
      return;
    }
    const into = block ?? free.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
    if (block === null) bytes = waiting.copy(into);
    block = into;
    bytes += piece.copy(into, bytes);
  };
  const take = (piece: Buffer): void => {
    spentBuffer(piece.length);
    if (!passed(piece)) {
      from.off("data", take);
      from.off("end", end);
      from.pause();
      return;
    }
    const length = block === null ? (waiting?.length ?? 0) : bytes;
    if (length + piece.length > blockBytes) send();
    keep(piece);
    if (piece.length >= blockBytes / 2 && block === null) return send();
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      send();
    });
  };
  const end = (): void => {
    send();
    to.end();
  };
  to.on("drain", () => from.resume());
  // Nobody reads any more, so stop reading too. The code that closed decides what happens to the sender.
  to.once("close", () => from.pause());
  from.on("data", take);
  from.once("end", end);
}
