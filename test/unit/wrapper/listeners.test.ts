/** Where a server in a sandbox is reached, by what the kernel's tables say of it. */
import { describe, expect, it } from "vitest";
import { listenersIn } from "../../../wrapper/proc/listeners.ts";

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const row = (address: string, inode: number, state = "0A"): string =>
  `   0: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0 100 0 0 10 0\n`;
const everyFour = "00000000";
const everySix = "0".repeat(32);
const one = `${"0".repeat(31)}1 01 80 10 80       lo\n`;
const port = 8_080;
const hex = "1F90";

const addressesOf = (tcp: string, tcp6: string, ifInet6: string): readonly (readonly [string, string])[] =>
  listenersIn({ tcp: head + tcp, tcp6: head + tcp6, ifInet6 }, port).map(({ address, inode }) => [address, inode]);

describe("a server that listens on every address [TRA-11]", () => {
  it("of IPv4 is reached over IPv4", () => {
    expect(addressesOf(row(`${everyFour}:${hex}`, 7), "", one)).toEqual([["127.0.0.1", "7"]]);
  });

  it("of IPv6 is reached over IPv6, and over IPv4 where the loopback has no address of IPv6", () => {
    expect(addressesOf("", row(`${everySix}:${hex}`, 7), one)).toEqual([["::1", "7"]]);
    expect(addressesOf("", row(`${everySix}:${hex}`, 7), "")).toEqual([["127.0.0.1", "7"]]);
  });

  it("of IPv6 is not looked for over IPv4 where somebody else listens: that one would answer", () => {
    const other = row(`0100007F:${hex}`, 8);
    expect(addressesOf(other, row(`${everySix}:${hex}`, 7), "")).toEqual([["127.0.0.1", "8"]]);
    expect(addressesOf(other, row(`${everySix}:${hex}`, 7), one)).toEqual([
      ["127.0.0.1", "8"],
      ["::1", "7"],
    ]);
  });
});

it("a connection on the port is no listener, nor is another port that begins like it", () => {
  expect(addressesOf(row(`${everyFour}:${hex}`, 7, "01") + row(`${everyFour}:1F91`, 8), "", one)).toEqual([]);
});
