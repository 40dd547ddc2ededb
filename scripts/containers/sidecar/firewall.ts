/** The packet rules of the container's network namespace. Programs of the container are root in there too, but have no NET_ADMIN. */
import { spawnSync } from "node:child_process";

export const ports = { dns: 5_353, http: 5_380, https: 5_343 } as const;

export interface Reach {
  readonly internet: boolean;
  /** Requests for ports 80 and 443 are taken, and names are answered here. null: nothing is intercepted. */
  readonly interception: { readonly gateway: string; readonly port: number } | null;
}

export function applyReach({ internet, interception }: Reach): void {
  iptables(["-F", "OUTPUT"]);
  iptables(["-t", "nat", "-F", "OUTPUT"]);
  if (interception !== null) {
    for (const [protocol, port, to] of redirects)
      iptables(
        ["-t", "nat", "-A", "OUTPUT", "-p", protocol, "!", "-d", interception.gateway, "--dport", port].concat([
          "-j",
          "REDIRECT",
          "--to-ports",
          String(to),
        ]),
      );
  }
  if (internet) return;
  const { gateway, port } = interception ?? { gateway: null, port: 0 };
  // Nothing but loopback, answers to whoever came in by the published port, and the way to workerd, which judges each request.
  iptables(["-A", "OUTPUT", "-o", "lo", "-j", "ACCEPT"]);
  // REDIRECT changes a packet's destination to 127.0.0.1, but not the interface that it leaves by, so the rule for `lo` does not match it.
  iptables(["-A", "OUTPUT", "-d", "127.0.0.0/8", "-j", "ACCEPT"]);
  iptables(["-A", "OUTPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"]);
  if (gateway !== null) iptables(["-A", "OUTPUT", "-p", "tcp", "-d", gateway, "--dport", String(port), "-j", "ACCEPT"]);
  // Rejected, not dropped: a program sees the refusal at once.
  iptables(["-A", "OUTPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"]);
  iptables(["-A", "OUTPUT", "-j", "REJECT"]);
}

const redirects = [
  ["udp", "53", ports.dns],
  ["tcp", "80", ports.http],
  ["tcp", "443", ports.https],
] as const;

function iptables(args: readonly string[]): void {
  const ran = spawnSync("/usr/sbin/iptables", ["-w", ...args], { encoding: "utf8" });
  if (ran.status !== 0) throw new Error(`iptables ${args.join(" ")}: ${ran.stderr || ran.error?.message}`);
}
