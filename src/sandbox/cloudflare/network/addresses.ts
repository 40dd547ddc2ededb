/**
 * IP addresses as requests name them, and the ranges of rules. The host of a URL is in its short form already; a rule
 * is as somebody wrote it.
 */

export interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

/** null: the text is a name. An IPv6 address may have the brackets of a URL. */
export function addressOf(text: string): Address | null {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(bare)) return ipv4(bare);
  return bare.includes(":") ? ipv6(bare) : null;
}

/**
 * `listed`: an address, or a range such as 203.0.113.0/24. A name contains no address, so the answer is false for a
 * name.
 */
export function rangeHolds(listed: string, address: Address): boolean {
  const [first = "", length] = listed.split("/");
  const range = addressOf(first);
  if (range === null || range.bits !== address.bits) return false;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return false;
  const kept = length === undefined ? range.bits : Number(length);
  if (kept > range.bits) return false;
  const rest = BigInt(range.bits - kept);
  return range.value >> rest === address.value >> rest;
}

function ipv4(text: string): Address | null {
  const parts = text.split(".").map(Number);
  return parts.some((part) => part > 255) ? null : { bits: 32, value: joined(parts, 8) };
}

/**
 * The last 32 bits may be written as an IPv4 address. An IPv4 address in IPv6 form equals that IPv4 address, whichever
 * form a rule has.
 */
function ipv6(text: string): Address | null {
  let url: URL;
  try {
    url = new URL(`http://[${text}]/`);
  } catch {
    return null;
  }
  const [head = "", tail] = url.hostname.slice(1, -1).split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const all =
    tail === undefined ? before : [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  const value = joined(all, 16);
  return value >> 32n === 0xffffn ? { bits: 32, value: value & 0xffffffffn } : { bits: 128, value };
}

function joined(parts: readonly number[], bits: number): bigint {
  return parts.reduce((value, part) => (value << BigInt(bits)) | BigInt(part), 0n);
}
