/**
 * Where a webhook may be sent: to public addresses only, or a tenant could make Mooring knock on doors that only Mooring
 * can reach. Names and literal addresses are judged here, in every notation that a URL allows (the URL parser turns
 * `0x7f.1`, `2130706433` and `0177.0.0.1` into 127.0.0.1). What a public name resolves to is not: a Worker cannot resolve
 * before it fetches, and its platform does not route to private networks (docs/decisions/0023).
 */

/** null: it may be sent there. Else what is wrong with it, for the tenant. */
export function addressFault(text: string, allowPrivate: boolean): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) return "Not a URL.";
  if (url.protocol !== "https:" && !(allowPrivate && url.protocol === "http:")) return "It must begin with https://.";
  if (url.username !== "" || url.password !== "") return "It must not carry a user or a password.";
  if (url.hash !== "") return "It must not have a fragment.";
  if (allowPrivate) return null;
  // One dot at the end is the same name.
  const host = url.hostname.replace(/\.$/, "").toLowerCase();
  const literal = host.startsWith("[") ? ipv6(host.slice(1, -1)) : null;
  const four = ipv4(host);
  if (literal !== null) return publicIpv6(literal) ? null : notPublic;
  if (host.startsWith("[")) return "Not an address.";
  if (four !== null) return publicIpv4(four) ? null : notPublic;
  return publicName(host) ? null : notPublic;
}

const notPublic =
  "It must be a public address: not this machine, a private network, or a name that is only known inside one.";

/** Never public, by RFC 2606, 6761, 6762, 8375 and by custom. */
const innerSuffixes = [
  "localhost",
  "local",
  "internal",
  "intranet",
  "lan",
  "home",
  "corp",
  "private",
  "home.arpa",
  "in-addr.arpa",
  "ip6.arpa",
  "test",
  "invalid",
  "onion",
  "alt",
  "svc",
  "cluster",
];

function publicName(host: string): boolean {
  // A single label is looked up in the searcher's own domain.
  if (!host.includes(".") || host.includes("..")) return false;
  return !innerSuffixes.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
}

/** The URL parser has brought every notation to dotted decimals. */
function ipv4(host: string): number | null {
  const [, ...parts] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host) ?? [];
  return parts.length === 4 ? parts.reduce((sum, part) => sum * 256 + Number(part), 0) : null;
}

/** First address and prefix length: IANA's special-purpose registry, everything that is not globally reachable. */
const specialIpv4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  // Multicast, reserved, broadcast.
  ["224.0.0.0", 3],
];

function publicIpv4(address: number): boolean {
  return !specialIpv4.some(([first, length]) => {
    const size = 2 ** (32 - length);
    return Math.floor(address / size) === Math.floor((ipv4(first) ?? 0) / size);
  });
}

/** Eight groups; null: not an address. The URL parser has written an embedded IPv4 address as two groups already. */
function ipv6(text: string): readonly number[] | null {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return null;
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  const all = [...first, ...Array.from({ length: Math.max(0, zeros) }, () => 0), ...last];
  return all.length === 8 && all.every((group) => group >= 0 && group <= 0xffff) ? all : null;
}

function publicIpv6(groups: readonly number[]): boolean {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = groups;
  const embedded = (high: number, low: number) => publicIpv4((groups[high] ?? 0) * 65_536 + (groups[low] ?? 0));
  // 6to4 and NAT64 carry an IPv4 address that the packet is for.
  if (a === 0x2002) return embedded(1, 2);
  if (a === 0x64 && b === 0xff9b && c === 0 && d === 0 && e === 0 && f === 0) return embedded(6, 7);
  // Of what is left only global unicast: not loopback, mapped, unique local, link-local, site-local, multicast, discard.
  if (a < 0x2000 || a > 0x3fff) return false;
  // Teredo and the other protocol assignments; documentation.
  if (a === 0x2001 && b < 0x200) return false;
  if (a === 0x2001 && b === 0xdb8) return false;
  return !(a === 0x3fff && b < 0x1000);
}
