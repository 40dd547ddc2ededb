/** The packet rules of the container's network namespace. Programs of the container are root in there too, but have no NET_ADMIN. */
import { spawnSync } from "node:child_process";

export const ports = { dns: 5_353, http: 5_380, https: 5_343 } as const;

export interface Reach {
  readonly internet: boolean;
  /** Requests for ports 80 and 443 are taken, and names are answered here. null: nothing is intercepted. */
  readonly interception: { readonly gateway: string; readonly port: number } | null;
}

/** All rules in one call: a call for each rule took half of the sidecar's start. */
export function applyReach(reach: Reach): void {
  const ran = spawnSync("/usr/sbin/iptables-nft-restore", ["--noflush"], { encoding: "utf8", input: rulesOf(reach) });
  if (ran.status !== 0) throw new Error(`iptables-restore: ${ran.stderr || ran.error?.message}`);
}

/** In the format of iptables-restore. Each table is replaced in one step: no packet sees half of the rules. */
export function rulesOf({ internet, interception }: Reach): string {
  const redirected = redirects.map(
    ([protocol, port, to]) =>
      `-A OUTPUT -p ${protocol} ! -d ${interception?.gateway} --dport ${port} -j REDIRECT --to-ports ${to}`,
  );
  const workerd = interception && `-A OUTPUT -p tcp -d ${interception.gateway} --dport ${interception.port} -j ACCEPT`;
  const closed = [
    // Nothing but loopback, answers to whoever came in by the published port, and the way to workerd, which judges each request.
    "-A OUTPUT -o lo -j ACCEPT",
    // REDIRECT changes a packet's destination to 127.0.0.1, but not the interface that it leaves by, so the rule for `lo` does not match it.
    "-A OUTPUT -d 127.0.0.0/8 -j ACCEPT",
    "-A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    ...(workerd === null ? [] : [workerd]),
    // Rejected, not dropped: a program sees the refusal at once.
    "-A OUTPUT -p tcp -j REJECT --reject-with tcp-reset",
    "-A OUTPUT -j REJECT",
  ];
  const tables = { filter: internet ? [] : closed, nat: interception === null ? [] : redirected };
  return Object.entries(tables)
    .flatMap(([table, rules]) => [`*${table}`, "-F OUTPUT", ...rules, "COMMIT", ""])
    .join("\n");
}

const redirects = [
  ["udp", "53", ports.dns],
  ["tcp", "80", ports.http],
  ["tcp", "443", ports.https],
] as const;
