/**
 * Reads /proc: which TCP sockets listen on a port, and whether a process holds one.
 *
 * On a machine that many sandboxes share, a port number says nothing about whose server answers there. The socket's inode does:
 * it is one socket's alone for as long as that socket is there.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isGone } from "./errno.ts";

export interface Listener {
  readonly port: number;
  /** Where to connect to reach it from this machine. */
  readonly address: string;
  readonly inode: string;
  /** The user that made the socket. */
  readonly uid: number;
}

const listening = "0A";

/** As files of /proc/net have them. */
interface SocketTables {
  readonly tcp: string;
  readonly tcp6: string;
  readonly ifInet6: string;
}

/** IPv4 listeners first. Empty: no listener that this machine could reach. */
export function listenersOn(port: number): readonly Listener[] {
  return listenersIn(tablesNow(), port);
}

/** On every port. */
export function allListeners(): readonly Listener[] {
  return listenersIn(tablesNow(), null);
}

/**
 * `port` null: any.
 *
 * A server on `::` usually takes IPv4 too. Containers often have no IPv6 address, not even on the loopback: there it is reached over IPv4. But
 * not past a listener of IPv4 on the same port: that one would answer, and may be somebody else's.
 */
export function listenersIn({ tcp, tcp6, ifInet6 }: SocketTables, port: number | null): readonly Listener[] {
  const overFour = found(tcp, port, "127.0.0.1");
  const hasLoopback = ifInet6.split("\n").some((line) => line.startsWith(loopbackInHex));
  if (hasLoopback) return [...overFour, ...found(tcp6, port, "::1")];
  const taken = new Set(overFour.map((each) => each.port));
  return [...overFour, ...found(tcp6, port, "127.0.0.1").filter((each) => !taken.has(each.port))];
}

const loopbackInHex = `${"0".repeat(31)}1 `;

function tablesNow(): SocketTables {
  return { tcp: table("tcp"), tcp6: table("tcp6"), ifInet6: table("if_inet6") };
}

/** Empty: a kernel without IPv6. */
function table(name: string): string {
  try {
    return readFileSync(`/proc/net/${name}`, "latin1");
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

/** Sockets of the file system, and abstract ones, that take connections. */
export function unixListeners(): readonly { readonly inode: string; readonly name: string }[] {
  const acceptsConnections = 0x10000;
  return readFileSync("/proc/net/unix", "latin1")
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, , , flags = "", , , inode = "", name = ""] = line.trim().split(/\s+/);
      return (Number.parseInt(flags, 16) & acceptsConnections) === 0 ? [] : [{ inode, name: name.slice(0, 100) }];
    });
}

/** `loopback`: where one that listens on every address is reached. */
function found(text: string, port: number | null, loopback: string): Listener[] {
  const wanted = port === null ? ":" : `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const listeners: Listener[] = [];
  for (const line of text.split("\n")) {
    if (!line.includes(wanted)) continue;
    const [, local = "", , state, , , , uid, , inode = ""] = line.trim().split(/\s+/);
    const [address = "", digits = ""] = local.split(":");
    const on = Number.parseInt(digits, 16);
    if (state !== listening || (port !== null && on !== port)) continue;
    listeners.push({ port: on, address: reachable(address, loopback), inode, uid: Number(uid) });
  }
  return listeners;
}

/** The kernel writes an address as 32-bit words in its own byte order. A wildcard is reached over the loopback. */
function reachable(hex: string, loopback: string): string {
  const bytes = hex.match(/.{8}/g)?.flatMap((word) => word.match(/../g)?.reverse() ?? []) ?? [];
  if (bytes.length === 4) {
    const address = bytes.map((byte) => Number.parseInt(byte, 16)).join(".");
    return address === "0.0.0.0" ? loopback : address;
  }
  const groups = Array.from({ length: 8 }, (_, at) => `${bytes[2 * at]}${bytes[2 * at + 1]}`);
  const address = groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":");
  return /^[0:]+$/.test(address) ? loopback : address;
}

/** Whether that process has one of these sockets open. A process that is gone has none; one that may not be read throws. */
export function holdsOneOf(pid: number, inodes: ReadonlySet<string>): boolean {
  return socketsOf(pid).some((inode) => inodes.has(inode));
}

/** The inodes of the sockets that a process has open; none when it is gone. Throws when it may not be read. */
export function socketsOf(pid: number): readonly string[] {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).flatMap((descriptor) => {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(linkOf(`${directory}/${descriptor}`)) ?? [];
      return inode === undefined ? [] : [inode];
    });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Closed meanwhile: it leads nowhere. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}
